"""Colours of an embedded profile come out as sRGB, decoded and crawled; others as they are."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from stages import pictures
from stages.pictures import colour, decoding
from tests.stages import formats, profiles

RED, GREEN = (210, 30, 30), (60, 180, 90)
WIDE = ["Adobe RGB", "Display P3", "ProPhoto"]
KINDS = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}


def two_colours(space, size=(160, 120)):
    """Red at the left and green at the right, in the numbers of a space."""
    image = Image.new("RGB", size, profiles.in_space(RED, space))
    right = (size[0] // 2, 0, *size)
    image.paste(profiles.in_space(GREEN, space), right)
    return image


def crawled(data, side=32):
    image, *_, error = formats.shrunk(data, side=side)
    assert error is None
    assert Image.open(io.BytesIO(image)).info.get("icc_profile") is None
    return pictures.decode(image)


def far(pixels, left=RED, right=GREEN):
    """How far the middle of each half is from its colour, in levels."""
    height, width = pixels.shape[:2]
    found = pixels[height // 2, [width // 4, -width // 4]].astype(int)
    return np.abs(found - [left, right]).max()


@pytest.mark.parametrize("space", WIDE)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [pictures.decode, crawled])
def test_a_wide_profile_is_converted(space, kind, read):
    image = two_colours(space)
    data = formats.saved(image, kind, icc_profile=profiles.rgb(space), **KINDS[kind])
    assert far(read(data)) <= 8
    plain = formats.saved(image, kind, **KINDS[kind])
    assert far(read(plain)) > 20


@pytest.mark.parametrize("space", WIDE)
@pytest.mark.parametrize(
    "form", ["alpha", "palette", "palette with alpha", "turned", "progressive"]
)
def test_every_form_is_converted(space, form):
    image, options = two_colours(space), {"icc_profile": profiles.rgb(space)}
    kind, left, right = "PNG", RED, GREEN
    if form == "turned":
        exif = Image.Exif()
        exif[formats.EXIF_ORIENTATION] = 3
        image, kind = image.transpose(Image.Transpose.ROTATE_180), "JPEG"
        options |= {"exif": exif, "quality": 95, "subsampling": 0}
    elif form == "progressive":
        kind = "JPEG"
        options |= {"progressive": True, "quality": 95, "subsampling": 0}
    elif form == "palette":
        image = image.quantize(4)
    else:
        image.putalpha(128)
        left, right = (tuple((c + 255) // 2 for c in colour) for colour in (RED, GREEN))
        image = image.quantize(4) if form == "palette with alpha" else image
    data = formats.saved(image, kind, **options)
    for read in (pictures.decode, crawled):
        assert far(read(data), left, right) <= 8


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "1"])
def test_a_grey_profile_is_converted_and_grey_stays_grey(mode):
    # Half of the light is level 188 of sRGB, and level 128 where levels are light itself.
    image = Image.fromarray(np.full((90, 160), 128, np.uint8))
    expected = 188
    if mode == "I;16":
        image = Image.fromarray(np.full((90, 160), 128 * 257, np.uint16))
    elif mode == "1":
        image, expected = image.convert("1", dither=0), 255
    elif mode == "LA":
        image.putalpha(255)
    data = formats.saved(image, icc_profile=profiles.grey(1.0))
    for read in (pictures.decode, crawled):
        assert np.abs(read(data).astype(int) - expected).max() <= 2
    if mode == "L":
        jpeg = formats.saved(image, "JPEG", icc_profile=profiles.grey(1.0))
        assert np.abs(crawled(jpeg).astype(int) - expected).max() <= 2


def test_grey_with_a_profile_of_colours_is_converted():
    image = Image.new("L", (160, 120), 128)
    for kind in ("JPEG", "PNG"):
        data = formats.saved(image, kind, icc_profile=profiles.rgb("ProPhoto"))
        for read in (pictures.decode, crawled):
            assert np.abs(read(data).astype(int) - 146).max() <= 2  # 1.8 in place of 2.4


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_are_mixed_as_their_profile_says(kind):
    image = Image.new("CMYK", (160, 120), (128, 0, 0, 0))
    image.paste((0, 0, 0, 0), (80, 0, 160, 120))
    with_profile = formats.saved(image, kind, icc_profile=profiles.cmyk(0.1))
    for read in (pictures.decode, crawled):
        assert far(read(with_profile), (129, 129, 129), (255, 255, 255)) <= 8
        assert far(read(formats.saved(image, kind)), (127, 255, 255), (255, 255, 255)) <= 8


SRGB = profiles.rgb("sRGB")
USELESS = {
    "sRGB": SRGB,
    "junk": b"junk" * 100,
    "cut": profiles.rgb("Adobe RGB")[:250],
    "of inks": profiles.cmyk(0.1),
    "of grey": profiles.grey(1.0),
    "zeros": bytes(200),
    "no curves": profiles.rgb("ProPhoto").replace(b"TRC", b"XXX"),
    "too large": profiles.rgb("ProPhoto") + bytes(colour.LARGEST_PROFILE),
}


@pytest.mark.parametrize("name", USELESS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_profile_of_no_use_changes_nothing(name, kind):
    image = formats.upright()
    plain, useless = (formats.saved(image, kind, **p) for p in ({}, {"icc_profile": USELESS[name]}))
    assert np.array_equal(pictures.decode(useless), pictures.decode(plain))
    if kind == "JPEG":
        as_opencv = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.array_equal(pictures.decode(useless), as_opencv)


@pytest.mark.parametrize(
    "chunk", [(b"gAMA", b"\0\0\xd9\x04"), (b"sRGB", b"\0"), (b"cICP", b"\x0c\r\0\1")]
)
def test_what_a_png_says_of_its_colours_without_a_profile_is_not_heeded(chunk):
    from tests.stages.test_pictures_png import with_chunks

    data = with_chunks(chunk)
    assert np.array_equal(pictures.decode(data), np.asarray(formats.upright()))


def test_strips_of_a_converted_picture_are_the_picture(monkeypatch):
    data = formats.saved(two_colours("ProPhoto"), icc_profile=profiles.rgb("ProPhoto"))
    whole = pictures.decode(data)
    monkeypatch.setattr(decoding, "STRIP_PIXELS", 7 * 160 + 1)
    assert np.array_equal(pictures.decode(data), whole)


def test_a_profile_is_looked_at_once():
    colour._converter.cache_clear()
    data = formats.saved(formats.upright(), "JPEG", icc_profile=SRGB)
    for _ in range(5):
        crawled(data)
        pictures.decode(data)
    assert colour._converter.cache_info().misses == 1
