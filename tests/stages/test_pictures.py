import io

import numpy as np
import pytest
import torch
from PIL import Image

from stages import pictures
from stages.pictures import PictureError, decoding
from stages.pictures.tensors import from_tensor, to_tensor
from tests.stages import formats
from tests.stages.formats import saved

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def ramp(height, width):
    """A picture that says where each of its pixels comes from: red is x, green is y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)


FORMS = formats.in_colour() | formats.in_grey()
LOSSLESS = (
    "png", "png palette", "png palette transparent", "png alpha", "png turned 8", "webp lossless",
    "webp alpha", "webp animated", "gif", "gif animated", "bmp", "tiff", "tiff lzw",
)  # fmt: skip


@pytest.mark.parametrize("form", LOSSLESS)
def test_a_lossless_file_gives_its_own_pixels_on_white(form):
    assert np.array_equal(pictures.decode(FORMS[form]), np.asarray(formats.upright()))


@pytest.mark.parametrize("form", ["png grey", "png 16 bits", "tiff 16 bits"])
def test_grey_becomes_three_equal_channels(form):
    assert np.array_equal(pictures.decode(FORMS[form]), np.dstack([formats.greys()] * 3))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_strips_of_a_large_picture_are_the_picture(monkeypatch, mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(RGB).convert("L" if mode == "I;16" else mode).convert(mode)
    data = saved(image, "TIFF" if mode == "CMYK" else "PNG", exif=exif.tobytes())
    whole = pictures.decode(data)
    monkeypatch.setattr(decoding, "STRIP_PIXELS", 7 * 60 + 1)
    assert np.array_equal(pictures.decode(data), whole)


def test_sixteen_bits_are_scaled_and_not_clipped():
    wide = np.linspace(0, 65_535, 256).round().astype(np.uint16).reshape(16, 16)
    decoded = pictures.decode(saved(Image.fromarray(wide)))
    assert np.array_equal(decoded[:, :, 0].reshape(-1), np.arange(256))


@pytest.mark.parametrize("data", [b"", b"not a picture", b"<svg/>", b"\x89PNG", b"\x01\x02" * 50])
def test_broken_bytes_are_refused_with_a_reason(data):
    with pytest.raises(PictureError) as refusal:
        pictures.decode(data)
    assert refusal.value.reason == "undecodable"
    assert "BytesIO" not in refusal.value.detail


def test_a_palette_picture_without_its_palette_is_refused():
    data = saved(Image.new("P", (8, 8), 1))
    start = data.index(b"PLTE") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    with pytest.raises(PictureError, match=r"^undecodable"):
        pictures.decode(data[:start] + data[start + 12 + length :])


def test_a_file_that_claims_too_many_pixels_is_refused_before_it_is_decoded():
    with pytest.raises(PictureError, match=r"^too_many_pixels"):
        pictures.decode(saved(Image.new("1", (10_000, 7_000))))


def test_a_png_carries_its_text_and_equal_arguments_give_equal_bytes():
    text = {"prompt": "ein roter Kreis über 青い四角", "seed": "7"}
    data = pictures.encode_png(RGB, text)
    assert data == pictures.encode_png(RGB.copy(), dict(text))
    assert Image.open(io.BytesIO(data)).text == text
    assert np.array_equal(pictures.decode(data), RGB)


def test_listing_1_stays_within_its_bounds_over_many_draws():
    side, source = 32, ramp(60, 100)
    scales, flips, lefts = set(), 0, []
    for seed in range(2_000):
        out = pictures.crop_for_dvae(source, side, np.random.default_rng(seed))
        assert out.shape == (side, side, 3)
        across = int(out[0, -1, 0]) - int(out[0, 0, 0])
        flips += across < 0
        scales.add(abs(across))
        lefts.append(out[0, :, 0].min())
    # The square is 60, shrunk to 36..48, so 31 steps span 31 * 60 / 48 = 38.75 to 31 * 60 / 36.
    assert 38 <= min(scales) <= 40
    assert 50 <= max(scales) <= 53
    assert 880 < flips < 1_120
    assert min(lefts) <= 1  # the left edge
    assert max(lefts) >= 100 - 40 - 3  # and the right edge are both reached


def test_listing_2_stays_within_its_bounds_over_many_draws():
    side, height, width = 32, 60, 100
    source, lefts, sizes = ramp(height, width), [], set()
    for seed in range(2_000):
        out, (left, top, right, bottom) = pictures.crop_for_prior(
            source, side, np.random.default_rng(seed)
        )
        assert out.shape == (side, side, 3)
        assert 0 <= top < bottom <= height
        assert 15 <= left < right <= 24 + 60  # offset 15..24 of 40 pixels of slack, square of 60
        assert right - left == pytest.approx(bottom - top)
        sizes.add(round(60 * side / (right - left)))
        lefts.append(left)
        # The box is where the pixels come from; red says x. Never mirrored.
        assert out[0, 0, 0] == pytest.approx(left + (right - left) / side / 2 - 0.5, abs=1.01)
        assert out[0, -1, 0] == pytest.approx(right - (right - left) / side / 2 - 0.5, abs=1.01)
    assert sizes == set(range(32, 37))  # 8/8 to 9/8, both ends included
    assert min(lefts) == 15


def test_both_listings_accept_a_picture_of_exactly_the_training_side():
    source, rng = ramp(32, 32), np.random.default_rng(0)
    assert np.array_equal(pictures.crop_for_prior(source, 32, rng)[0], source)
    assert pictures.crop_for_prior(source, 32, rng)[1] == (0, 0, 32, 32)
    assert np.array_equal(np.sort(pictures.crop_for_dvae(source, 32, rng)[0, :, 0]), range(32))


def test_crops_are_a_function_of_the_generator():
    first = pictures.crop_for_dvae(RGB, 16, np.random.default_rng(5))
    assert np.array_equal(first, pictures.crop_for_dvae(RGB, 16, np.random.default_rng(5)))
    assert not np.array_equal(first, pictures.crop_for_dvae(RGB, 16, np.random.default_rng(6)))


@pytest.mark.parametrize(("height", "width"), [(31, 100), (100, 31)])
def test_a_picture_under_the_training_side_is_refused(height, width):
    rng = np.random.default_rng(0)
    for crop in (
        lambda p: pictures.crop_for_dvae(p, 32, rng),
        lambda p: pictures.crop_for_prior(p, 32, rng),
        lambda p: pictures.crop_centre(p, 32),
    ):
        with pytest.raises(PictureError, match="too_small"):
            crop(ramp(height, width))


def test_the_centre_crop_averages_areas():
    source = np.zeros((4, 8, 3), np.uint8)
    source[:, 2:6] = np.arange(16, dtype=np.uint8).reshape(4, 4, 1) * 4
    expected = source[:, 2:6].reshape(2, 2, 2, 2, 3).astype(float).mean((1, 3))
    assert np.array_equal(pictures.crop_centre(source, 2), expected.round())


def test_tensors_are_unit_range_channels_last_and_invertible():
    batch = np.stack([RGB, RGB[::-1]])
    tensor = to_tensor([RGB, RGB[::-1]])
    assert tensor.shape == (2, 3, 40, 60)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    assert tensor[0, 2, 1, 3].item() == pytest.approx(RGB[1, 3, 2] / 255)
    assert np.array_equal(from_tensor(tensor), batch)


def test_a_contact_sheet_puts_picture_n_at_its_row_and_column():
    tiles = [np.full((4, 6, 3), n, np.uint8) for n in range(5)]
    sheet = pictures.contact_sheet(tiles, columns=3, gap=1)
    assert sheet.shape == (2 * 5 + 1, 3 * 7 + 1, 3)
    assert (sheet[6:10, 8:14] == 4).all()
    assert (sheet[6:10, 15:21] == 255).all()
