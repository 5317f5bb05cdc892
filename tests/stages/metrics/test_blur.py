"""The blur is a true Gaussian: by hand, SciPy's, OpenCV's; and how far Pillow's is from it."""

import math

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter

from schemas.errors import UserError
from stages.metrics.blur import RADII, gaussian_blur
from tests.stages.photographs import photograph


@pytest.fixture(scope="module")
def picture():
    return photograph(0, 70, 50)


def test_it_is_the_formula_by_hand_at_a_corner_and_inside(picture):
    def weight(y, x):
        return math.exp(-(y * y + x * x) / (2 * 2**2))

    offsets = [(y, x) for y in range(-8, 9) for x in range(-8, 9)]
    total = sum(weight(*offset) for offset in offsets)
    blurred = gaussian_blur(picture, 2)
    for row, column in ((0, 0), (49, 3), (25, 30), (10, 69)):
        values = [
            weight(y, x)
            * picture[min(max(row + y, 0), 49), min(max(column + x, 0), 69)].astype(float)
            for y, x in offsets
        ]
        assert blurred[row, column] == pytest.approx(sum(values) / total, abs=0.5001)


@pytest.mark.parametrize("radius", [r for r in RADII if r])
def test_it_is_scipys_and_opencvs_gaussian(picture, radius):
    blurred = gaussian_blur(picture, radius)
    values = picture.astype(np.float64)
    scipys = gaussian_filter(values, (radius, radius, 0), mode="nearest", truncate=4)
    size = 8 * radius + 1
    opencvs = cv2.GaussianBlur(values, (size, size), sigmaX=radius, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(blurred - scipys).max() < 0.5001
    assert np.abs(blurred - opencvs).max() < 0.5001


@pytest.mark.parametrize("radius", [r for r in RADII if r])
def test_pillows_approximation_is_within_a_few_levels(picture, radius):
    pillows = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)), float)
    apart = np.abs(gaussian_blur(picture, radius) - pillows)
    assert apart.mean() < 1.5
    assert apart.max() > 1  # so the two must not be taken for one another


def test_a_radius_of_0_is_the_picture_and_a_flat_one_stays_flat(picture):
    assert np.array_equal(gaussian_blur(picture, 0), picture)
    flat = np.full((20, 20, 3), 255, np.uint8)
    assert np.array_equal(gaussian_blur(flat, 8), flat)


def test_a_radius_below_0_is_refused(picture):
    with pytest.raises(UserError, match="radius of 0 or more, found -1"):
        gaussian_blur(picture, -1)
