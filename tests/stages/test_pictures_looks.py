"""A picture keeps its hash when it is saved, resized or brightened again; others have another."""

import io
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stages.pictures import decode
from stages.pictures.looks import BITS, Glance, contrast, glance, perceptual_hash, whole

LOSSLESS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}
STAMPS = Path("/usr/share/tuxpaint/stamps")


def cloud(rng):
    """Noise whose power falls with frequency as in photographs, in three related channels."""
    height, width = rng.integers(256, 385), rng.integers(256, 513)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    steepness = rng.uniform(0.9, 1.4)
    layers = []
    for _ in range(4):
        real, imaginary = rng.standard_normal((2, *frequency.shape))
        layer = np.fft.irfft2((real + 1j * imaginary) / frequency**steepness, (height, width))
        layers.append(layer / layer.std())
    colours = [layers[0] + 0.5 * layer for layer in layers[1:]]
    levels = np.stack(colours, axis=-1) * rng.uniform(15, 45) + rng.uniform(90, 165)
    return np.clip(levels, 0, 255).astype(np.uint8)


def stamp(path):
    pixels = decode(path.read_bytes())
    scale = 300 / min(pixels.shape[:2])
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


@cache
def pictures(kind):
    if kind == "clouds":
        rng = np.random.default_rng(0)
        return [cloud(rng) for _ in range(60)]
    paths = sorted(STAMPS.rglob("*.png"))[::8]
    if not paths:
        pytest.skip("tuxpaint-stamps-default is not installed")
    return [found for found in map(stamp, paths) if contrast(whole(found)) > 8]


def saved(pixels, quality=95):
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def hash_of(data):
    height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    return perceptual_hash(glance(data, height, width))


def apart(one, other):
    return (one ^ other).bit_count()


def resized(pixels, scale):
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=way)


def levels(pixels, scale=1.0, shift=0):
    return np.clip((pixels.astype(float) - 128) * scale + 128 + shift, 0, 255).astype(np.uint8)


CHANGES = {
    "quality 30": lambda p: saved(p, 30),
    "quality 75": lambda p: saved(p, 75),
    "half the size": lambda p: saved(resized(p, 0.5)),
    "0.7 of the size": lambda p: saved(resized(p, 0.7)),
    "1.3 times the size": lambda p: saved(resized(p, 1.3)),
    "twice the size": lambda p: saved(resized(p, 2)),
    "brighter": lambda p: saved(levels(p, shift=15)),
    "darker": lambda p: saved(levels(p, shift=-15)),
    "more contrast": lambda p: saved(levels(p, 1.15)),
    "less contrast": lambda p: saved(levels(p, 0.7)),
    "all at once": lambda p: saved(levels(resized(p, 0.6), 0.9, 8), 40),
}


@pytest.mark.parametrize("kind", ["clouds", "stamps"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_keeps_its_hash(change, kind):
    moved = np.array(
        [apart(hash_of(saved(p)), hash_of(CHANGES[change](p))) for p in pictures(kind)]
    )
    # Drawings on white lose what is clipped; of a photograph hardly a bit moves.
    assert np.mean(moved <= 3) >= (0.98 if kind == "clouds" else 0.9)
    assert moved.mean() < (0.7 if kind == "clouds" else 1.5)


@pytest.mark.parametrize("kind", ["clouds", "stamps"])
def test_the_size_at_which_it_was_decoded_does_not_matter(kind):
    for pixels in pictures(kind):
        data = saved(pixels)
        same = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert apart(hash_of(data), perceptual_hash(whole(same[..., ::-1].copy()))) <= 2


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP", "TIFF", "JPEG"])
def test_the_format_does_not_matter(form):
    for pixels in pictures("clouds")[:20]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, form, **LOSSLESS.get(form, {}))
        seen, decoded = glance(file.getvalue(), *pixels.shape[:2]), whole(decode(file.getvalue()))
        assert (seen.height, seen.width) == (decoded.height, decoded.width)
        moved = apart(perceptual_hash(seen), perceptual_hash(decoded))
        assert moved <= (1 if form == "JPEG" else 0)
        assert contrast(seen) == pytest.approx(contrast(decoded), abs=0.5 * (form == "JPEG"))


def test_other_pictures_have_other_hashes():
    hashes = np.array([hash_of(saved(p)) for p in pictures("clouds")], np.uint64)
    distances = np.bitwise_count(hashes[:, None] ^ hashes)[np.triu_indices(len(hashes), 1)]
    assert distances.min() > 10
    assert 30 < distances.mean() < 33


def test_a_turned_or_cropped_picture_is_another():
    for pixels in pictures("clouds")[:20]:
        own = perceptual_hash(whole(pixels))
        for other in (pixels[:, ::-1], pixels[::-1], np.rot90(pixels), pixels[40:, 40:]):
            assert apart(own, perceptual_hash(whole(np.ascontiguousarray(other)))) > 3


@pytest.mark.parametrize("bit", [0, 7, 8, 20, 62, 63])
def test_each_bit_is_a_wave_of_its_own(bit):
    row, column = BITS[bit]
    down, across = np.cos(np.pi * row * (np.arange(90) + 0.5) / 90), np.arange(128) + 0.5
    wave = np.outer(down, np.cos(np.pi * column * across / 128))
    pixels = np.repeat((128 + 100 * wave)[..., None], 3, axis=2).astype(np.uint8)
    assert perceptual_hash(whole(pixels)) == 1 << (63 - bit)


def test_bits_are_the_64_waves_of_the_docstring():
    assert len(set(BITS)) == 64
    assert (0, 0) not in BITS


@pytest.mark.parametrize("height", [1, 8, 31, 63, 127, 256, 384])
@pytest.mark.parametrize("width", [8, 64, 300])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_size_and_grey_files_are_looked_at(height, width, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    seen = glance(data, height, width)
    assert seen.pixels.shape[2] == 3
    assert min(seen.pixels.shape[:2]) <= 128 or max(seen.pixels.shape[:2]) <= 300
    assert seen.pixels.shape[0] == np.ceil(seen.height)
    assert 0 <= perceptual_hash(seen) < 2**64
    assert contrast(seen) >= 0


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", saved(np.zeros((64, 64, 3), np.uint8))[:40]]
)
def test_what_is_no_picture_is_none(data):
    assert glance(data, 64, 64) is None


def test_contrast_sees_colour():
    red_on_grey = np.full((64, 64, 3), 76, np.uint8)
    red_on_grey[16:48, 16:48] = (254, 0, 0)  # of the same luminance
    grey = cv2.cvtColor(red_on_grey, cv2.COLOR_RGB2GRAY)
    assert grey.std() < 1
    assert contrast(whole(red_on_grey)) > 50
    assert contrast(whole(np.full((64, 64, 3), 200, np.uint8))) == 0


def test_a_flat_picture_has_no_bits():
    assert perceptual_hash(whole(np.full((64, 96, 3), 200, np.uint8))) == 0


def test_partial_pixels_count_for_what_they_cover():
    left = np.zeros((64, 65, 3), np.uint8)
    left[:, :33] = 200
    garbled = left.copy()
    garbled[:, 64] = 255  # beyond the picture
    assert perceptual_hash(Glance(garbled, 64.0, 64.0)) == perceptual_hash(Glance(left, 64.0, 64.0))
