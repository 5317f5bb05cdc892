"""Whatever a PNG says besides its pixels, the pixels are had, and memory stays bounded."""

import struct
import tracemalloc
import zlib
from functools import cache

import numpy as np
import pytest
from PIL import Image

from stages import pictures
from stages.pictures import PictureError, png
from tests.stages import formats

PIXELS = np.asarray(formats.upright())
PLAIN = formats.saved(formats.upright(), "PNG")
MEGABYTE = 2**20


def chunk(kind, body, checksum=None):
    checksum = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def with_chunks(*chunks, data=PLAIN, before=b"IDAT"):
    """The picture with more chunks in it."""
    place = data.index(before) - 4
    return data[:place] + b"".join(chunk(*one) for one in chunks) + data[place:]


@cache
def packed(size):
    return zlib.compress(bytes(size), 9)


EXTRAS = {
    "large zTXt": [(b"zTXt", b"Comment\0\0" + packed(3 * MEGABYTE))],
    "large iTXt": [(b"iTXt", b"Comment\0\1\0\0\0" + packed(3 * MEGABYTE))],
    "large iTXt as it is": [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 2 * MEGABYTE)],
    "large XMP": [(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed(3 * MEGABYTE))],
    "large EXIF in text": [(b"zTXt", b"Raw profile type exif\0\0" + packed(3 * MEGABYTE))],
    "large tEXt": [(b"tEXt", b"Comment\0" + b"x" * 2 * MEGABYTE)],
    "large profile": [(b"iCCP", b"icc\0\0" + packed(9 * MEGABYTE))],
    "a bomb in a text": [(b"zTXt", b"Comment\0\0" + packed(64 * MEGABYTE))],
    "a bomb in a profile": [(b"iCCP", b"icc\0\0" + packed(64 * MEGABYTE))],
    "broken profile": [(b"iCCP", b"icc\0\0" + b"no zlib")],
    "profile without a name's end": [(b"iCCP", b"icc")],
    "empty profile": [(b"iCCP", b"")],
    "two profiles": [(b"iCCP", b"a\0\0" + packed(9)), (b"iCCP", b"b\0\0" + packed(9))],
    "many texts": [(b"tEXt", b"%d\0x" % n) for n in range(5_000)],
    "many large texts": [(b"zTXt", b"%d\0\0" % n + packed(MEGABYTE // 2)) for n in range(200)],
    "broken texts": [(b"zTXt", b"a\0\0?"), (b"iTXt", b"a\0\1\0?"), (b"tEXt", b""), (b"zTXt", b"a")],
    "wrong checksum of a text": [(b"tEXt", b"a\0b", 7)],
    "wrong checksum of a profile": [(b"iCCP", b"icc\0\0" + packed(9), 7)],
    "wrong checksum of EXIF": [(b"eXIf", b"II*\0\x08\0\0\0\0\0", 7)],
    "broken EXIF": [(b"eXIf", b"II*\0\xff\xff\0\0\0\0")],
    "EXIF that is none": [(b"eXIf", b"no tiff at all")],
    "no hex for EXIF": [(b"tEXt", b"Raw profile type exif\0\nexif\n  12\nzz")],
    "times, sizes and others": [(b"tIME", b"\x07\xe8\1\1\0\0\0"), (b"pHYs", b""), (b"vpAg", b"?")],
    "a broken gamma": [(b"gAMA", b""), (b"cHRM", b"1"), (b"sBIT", b"")],
}


@pytest.mark.parametrize("name", EXTRAS)
def test_the_pixels_are_had(name):
    data = with_chunks(*EXTRAS[name])
    assert np.array_equal(pictures.decode(data), PIXELS)
    *_, error = formats.shrunk(data)
    assert error is None


@pytest.mark.parametrize("name", ["a bomb in a text", "a bomb in a profile", "many large texts"])
def test_memory_stays_bounded(name):
    data = with_chunks(*EXTRAS[name])
    tracemalloc.start()
    pictures.decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * MEGABYTE + 2 * len(data)


def test_texts_after_the_pixels_and_bytes_after_the_end_are_passed_over():
    data = with_chunks(*EXTRAS["large zTXt"], before=b"IEND")
    assert np.array_equal(pictures.decode(data + b"<!-- served by -->" * 9), PIXELS)
    assert np.array_equal(pictures.decode(data + data), PIXELS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("where", ["eXIf", "eXIf at the end", "XMP", "hex in a text"])
def test_a_png_is_turned_upright_by_whatever_says_so(orientation, where):
    exif = Image.Exif()
    exif[formats.EXIF_ORIENTATION] = orientation
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    hexed = b"\nexif\n%8d\n" % len(block) + block.hex().encode()
    said = {
        "XMP": (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
        "hex in a text": (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(hexed)),
    }.get(where, (b"eXIf", block))
    how = formats.STORED[orientation]
    stored = formats.upright() if how is None else formats.upright().transpose(how)
    before = b"IEND" if where == "eXIf at the end" else b"IDAT"
    data = with_chunks(
        said, (b"tEXt", b"Title\0x"), data=formats.saved(stored, "PNG"), before=before
    )
    assert np.array_equal(pictures.decode(data), PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_other_formats_are_turned_upright(kind, orientation):
    pixels = pictures.decode(formats.turned(orientation, kind))
    assert np.abs(formats.corners(pixels) - formats.COLOURS).max() < 8


@pytest.mark.parametrize("options", [{}, {"default_image": True}])
def test_of_an_animation_the_picture_is_taken(options):
    assert np.array_equal(pictures.decode(formats.animated("PNG", **options)), PIXELS)


def test_a_plain_file_is_left_as_it_is():
    assert png.plain(PLAIN, 9) == (PLAIN, None)
    assert png.plain(PLAIN, 9)[0] is PLAIN


def test_what_the_pixels_need_must_be_right():
    data = bytearray(PLAIN)
    data[PLAIN.index(b"IDAT") + 30] ^= 255
    with pytest.raises(PictureError, match="undecodable"):
        pictures.decode(bytes(data))
