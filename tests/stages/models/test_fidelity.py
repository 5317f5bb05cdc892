"""Likeness of pictures, against the definitions written out."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from stages.models.fidelity import Psnr, mean_colour, psnr_db, ssim


def test_psnr_is_ten_decibels_per_power_of_ten():
    assert psnr_db(0.01) == pytest.approx(20)
    assert psnr_db(0.25) == pytest.approx(10 * math.log10(4))
    assert psnr_db(0.0) == 100


def test_ssim_is_the_definition_of_2004_under_its_gaussian_window():
    rng = np.random.default_rng(0)
    one = gaussian_filter(rng.random((2, 3, 40, 40)), (0, 0, 2, 2)) * 4 % 1
    other = np.clip(one + rng.normal(0, 0.1, one.shape), 0, 1)

    def mean(values):
        return gaussian_filter(values, (0, 0, 1.5, 1.5), mode="mirror", truncate=5 / 1.5)

    a, b = mean(one), mean(other)
    var_a, var_b, cov = mean(one**2) - a**2, mean(other**2) - b**2, mean(one * other) - a * b
    c1, c2 = 0.01**2, 0.03**2
    by_hand = (2 * a * b + c1) * (2 * cov + c2) / ((a**2 + b**2 + c1) * (var_a + var_b + c2))
    found = ssim(torch.from_numpy(one), torch.from_numpy(other))
    assert found.numpy() == pytest.approx(by_hand.mean((1, 2, 3)), abs=1e-4)


def test_a_picture_is_wholly_similar_to_itself_and_less_to_its_negative():
    picture = torch.rand(1, 3, 16, 16)
    assert ssim(picture, picture).item() == pytest.approx(1)
    assert ssim(picture, 1 - picture).item() < 0


def test_psnr_is_over_every_value_of_all_batches():
    pixels, other = torch.zeros(3, 3, 4, 4), torch.zeros(3, 3, 4, 4)
    other[0, 0, 0, 0] = 1  # one of 144 values is off by one
    psnr = Psnr()
    for part in (slice(2), slice(2, 3)):
        psnr.add(pixels[part], other[part])
    assert psnr.db == pytest.approx(psnr_db(1 / 144))


def test_mean_colour_leaves_the_variance_within_each_picture():
    pixels = torch.from_numpy(np.random.default_rng(0).random((3, 3, 8, 8)))
    flat = mean_colour(pixels)
    assert flat[1, 2].numpy() == pytest.approx(pixels[1, 2].mean().item())
    within = np.mean([channel.numpy().var() for picture in pixels for channel in picture])
    psnr = Psnr()
    psnr.add(flat, pixels)
    assert psnr.db == pytest.approx(psnr_db(within))
