"""A picture whose end is missing says so; a JPEG that lacks no pixel is taken as it is."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from stages import pictures
from stages.pictures import PictureError, jpeg
from tests.stages.formats import saved, shrunk
from tests.stages.photographs import photograph

SMALL = Image.fromarray(photograph(1, 67, 45))
FLAT = Image.new("RGB", (64, 48), (200, 120, 40))
END = len(jpeg.END)


JPEGS = {
    "4:2:0": saved(SMALL, "JPEG"),
    "4:4:4": saved(SMALL, "JPEG", subsampling=0, quality=98),
    "4:2:2 optimized": saved(SMALL, "JPEG", subsampling=1, optimize=True),
    "progressive": saved(SMALL, "JPEG", progressive=True),
    "progressive, 4:4:4": saved(SMALL, "JPEG", progressive=True, subsampling=0),
    "restarts": saved(SMALL, "JPEG", restart_marker_blocks=2),
    "restarts of rows": saved(SMALL, "JPEG", restart_marker_rows=1, progressive=True),
    "grey": saved(SMALL.convert("L"), "JPEG"),
    "CMYK": saved(SMALL.convert("CMYK"), "JPEG"),
    "flat": saved(FLAT, "JPEG"),
    "flat, progressive": saved(FLAT, "JPEG", progressive=True),
    "flat, restarts": saved(FLAT, "JPEG", restart_marker_blocks=1),
    "one pixel": saved(SMALL.crop((0, 0, 1, 1)), "JPEG"),
    "with a comment": saved(SMALL, "JPEG", comment=b"x" * 300),
}


def outcome(data):
    try:
        return pictures.decode(data)
    except PictureError as error:
        return error.reason


def continued(data, number):
    """The file with one of many possible ends, restarts among them."""
    rng = random.Random(number)
    start = rng.randrange(8)
    parts = [rng.randbytes(60).replace(b"\xff", b"\x7f") for _ in range(9)]
    marks = [bytes([0xFF, 0xD0 + (start + n) % 8]) for n in range(8)]
    return data + parts[0] + b"".join(m + p for m, p in zip(marks, parts[1:], strict=True))


def pixels_of(data):
    return np.asarray(Image.open(io.BytesIO(data + jpeg.END)).convert("RGB"))


@pytest.mark.parametrize("form", JPEGS)
def test_a_jpeg_is_kept_if_and_only_if_no_end_could_change_a_pixel(form):
    data = JPEGS[form]
    whole, size = pictures.decode(data), len(data)
    start, last_scan = data.index(b"\xff\xda") + 16, data.rindex(b"\xff\xda") + 16
    ends = range(max(start, size - 24), size)
    kept = 0
    some = random.Random(form).choices(range(start, size), k=8)
    for left in (data[:end] for end in (*some, *ends)):
        found = outcome(left)
        if isinstance(found, str):
            assert found == "truncated"
            if len(left) > last_scan:  # else a whole scan is missing
                data_only = left.rstrip(b"\xff")
                assert len({pixels_of(continued(data_only, n)).tobytes() for n in range(12)}) > 1
        else:
            kept += 1
            assert np.array_equal(found, whole)
    assert kept >= END  # without its last marker or half of it, and perhaps a byte of padding


@pytest.mark.parametrize("form", JPEGS)
def test_bytes_after_a_cut_are_no_pixels(form):
    half = JPEGS[form][: len(JPEGS[form]) // 2]
    for tail in (bytes(4096), b"\xff" * 5, b"\xff\xd0" * 8, b"<html>" * 9):
        found = outcome(half + tail)
        assert isinstance(found, str), tail
    end = JPEGS[form][:-END]
    for tail in (bytes(4096), b"\xff", b"\xff\xff\xff"):
        assert np.array_equal(outcome(end + tail), pictures.decode(JPEGS[form]))


@pytest.mark.parametrize("form", JPEGS)
def test_what_follows_the_end_is_nothing(form):
    data = JPEGS[form]
    for tail in (b"\r\n", bytes(100), b"SEFT" * 20, data, data[: len(data) // 2]):
        assert np.array_equal(pictures.decode(data + tail), pictures.decode(data))


def test_a_large_jpeg_without_its_end_is_refused_before_it_is_decoded():
    with pytest.raises(PictureError, match="too_many_pixels: 67 x 45"):
        pictures.decode(JPEGS["4:2:0"][:-END], max_pixels=3_000)


def test_a_jpeg_of_nothing_but_segments_is_left_alone_soon():
    data = jpeg.START + b"\xff\xe5\0\2" * 2_000_000
    assert not jpeg.has_end(data)
    assert jpeg.mended(data) is None
    assert outcome(data) == "truncated"


def test_a_shortened_jpeg_is_crawled_as_the_whole_one():
    data = saved(Image.fromarray(photograph(2, 300, 200)), "JPEG", quality=90)
    whole = shrunk(data)
    assert shrunk(data[:-END]) == whole
    assert shrunk(data[: -END // 2]) == whole
    assert shrunk(data[: len(data) // 2])[5].startswith("truncated: ")
    assert shrunk(data[: len(data) // 2] + bytes(8192))[5].startswith("truncated: ")


OTHERS = {
    "PNG": saved(SMALL, "PNG"),
    "WEBP": saved(SMALL, "WEBP"),
    "WEBP lossless": saved(SMALL, "WEBP", lossless=True),
    "GIF": saved(SMALL, "GIF"),
    "BMP": saved(SMALL, "BMP"),
    "TIFF": saved(SMALL, "TIFF"),
    "TIFF LZW": saved(SMALL, "TIFF", compression="tiff_lzw"),
    "TIFF JPEG": saved(SMALL, "TIFF", compression="jpeg"),
    "TIFF big-endian": saved(Image.frombytes("I;16B", (8, 8), bytes(128)), "TIFF"),
    "AVIF": saved(SMALL, "AVIF"),
    "GIF animated": saved(SMALL, "GIF", save_all=True, append_images=[FLAT.resize(SMALL.size)]),
}


@pytest.mark.parametrize("form", OTHERS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.97])
def test_half_a_file_of_another_format_is_truncated(form, share):
    data = OTHERS[form]
    found = outcome(data[: max(16, int(share * len(data)))])
    if isinstance(found, str):
        assert found == "truncated"
    else:  # the first frame is all we read; a TIFF's tags may lie after its pixels
        assert form == "GIF animated"
        assert np.array_equal(found, pictures.decode(data))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "WEBP lossless", "BMP", "TIFF", "TIFF LZW"])
def test_a_broken_file_of_full_length_is_not_called_truncated(form):
    data = bytearray(OTHERS[form])
    third = len(data) // 3
    data[third : 2 * third] = b"\x5a" * third
    found = outcome(bytes(data))
    assert not isinstance(found, str) or found == "undecodable"
