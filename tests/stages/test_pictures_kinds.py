"""What is no picture, or none that we read, is named."""

import numpy as np
import pytest
from PIL import Image

from stages import pictures
from stages.pictures import PictureError
from tests.stages import formats


def box(brand, *others):
    body = b"ftyp" + brand + bytes(4) + b"".join(others)
    return (4 + len(body)).to_bytes(4, "big") + body + bytes(40)


def saved(kind, mode="RGB", **options):
    return formats.saved(formats.upright().convert(mode), kind, **options)


NAMED = {
    "HEIC": [box(b"heic"), box(b"mif1", b"mif1", b"heic"), box(b"heix")],
    "HEIF": [box(b"mif1", b"mif1"), box(b"msf1")],
    "video": [box(b"isom"), box(b"qt  "), b"\x1aE\xdf\xa3" + bytes(9),
              b"RIFF\0\0\0\0AVI " + bytes(9)],
    "JPEG XL": [b"\xff\x0a\x00", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(9)],
    "JPEG 2000": [saved("JPEG2000"), saved("JPEG2000", no_jp2=True)],
    "PSD": [b"8BPS\0\1" + bytes(30)],
    "ICO": [saved("ICO")],
    "EPS": [b"\xc5\xd0\xd3\xc6" + bytes(30)],
    "Netpbm": [saved("PPM"), saved("PPM", "L"), b"P1\n2 2\n0 1\n1 0\n"],
    "PDF": [b"%PDF-1.7\n"],
    "SVG": [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a > b -->\n<!DOCTYPE svg PUBLIC 'x'>\n<svg/>",
        b"  \n<svg:svg/>".replace(b"svg:svg", b"svg"),
    ],
    "HTML": [
        b"<!doctype html><p>Gone",
        b"<html><head>",
        b"\r\n\r\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0\">\n<html>",
        b"<script>location='/'</script>",
    ],
    "XML": [b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"],
    "JSON": [b'{"error": "gone"}', b' [1, 2]'],
    "Git LFS": [b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"],
    "ZIP": [b"PK\3\4" + bytes(30)],
    "gzip": [b"\x1f\x8b\x08" + bytes(30)],
    "empty": [b""],
    "zeros": [bytes(5_000)],
    "a text": [b"404 not found", "пусто".encode()],
    "raw": [
        box(b"crx "),
        b"II*\0\x10\0\0\0CR\2\0" + bytes(30),
        saved("TIFF", tiffinfo={50_706: b"\1\4\0\0"}),
        saved("TIFF", tiffinfo={254: 1, 330: 0}),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data"), [(n, data) for n, some in NAMED.items() for data in some]
)
def test_the_detail_names_what_was_found(name, data):
    with pytest.raises(PictureError) as refusal:
        pictures.decode(data)
    assert refusal.value.reason == "undecodable"
    assert name in refusal.value.detail
    *nothing, error = formats.shrunk(data)
    assert error == f"not_an_image: {refusal.value.detail}"
    assert nothing == [None] * 5


def test_no_address_in_memory_is_told():
    for data in (b"\xff\xd8\xff\xd9", b"BM" + bytes(60), b"GIF89a" + bytes(30), b"\1\2\3" * 9):
        with pytest.raises(PictureError) as refusal:
            pictures.decode(data)
        assert "0x" not in str(refusal.value)


def jpeg_with(*segments):
    """The picture as a JPEG with more segments after its beginning."""
    data = saved("JPEG", quality=95)
    more = b"".join(
        b"\xff" + kind + (2 + len(body)).to_bytes(2, "big") + body for kind, body in segments
    )
    return data[:2] + more + data[2:]


LARGE = bytes(65_000)
READ = {
    "hundreds of large segments": jpeg_with(*[(b"\xe5", LARGE)] * 200),
    "large EXIF that is none": jpeg_with((b"\xe1", b"Exif\0\0" + LARGE)),
    "broken EXIF": jpeg_with((b"\xe1", b"Exif\0\0II*\0\xff\xff\xff\xff")),
    "large XMP": jpeg_with(*[(b"\xe1", b"http://ns.adobe.com/xmp/extension/\0" + LARGE)] * 50),
    "broken MPF": jpeg_with((b"\xe2", b"MPF\0II*\0\xff\xff\xff\xff")),
    "pieces of a profile": jpeg_with((b"\xe2", b"ICC_PROFILE\0\3\7" + LARGE)),
    "comments": jpeg_with(*[(b"\xfe", b"x" * 60_000)] * 20),
    "broken Photoshop segment": jpeg_with((b"\xed", b"Photoshop 3.0\x008BIM\4\4")),
    "of two pictures": formats.saved(
        formats.upright(), "MPO", save_all=True, append_images=[Image.new("L", (9, 9))], quality=95
    ),
    "fill bytes": saved("JPEG", quality=95).replace(b"\xff\xda", b"\xff\xff\xff\xda", 1),
    "GIF with a long comment": saved("GIF", comment=b"x" * 100_000),
    "TIFF of several pages": formats.saved(
        formats.upright(), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]
    ),
    "TIFF with large tags": saved("TIFF", tiffinfo={65_000: "x" * 500_000}),
    "TIFF of inks": saved("TIFF", "CMYK"),
    "TIFF of luma": saved("TIFF", "YCbCr"),
    "WebP with large EXIF": saved("WEBP", lossless=True, exif=b"Exif\0\0" + LARGE * 9),
    "WebP with large XMP": saved("WEBP", lossless=True, xmp=LARGE * 9),
    "BMP with alpha": saved("BMP", "RGBA"),
    "AVIF": saved("AVIF", quality=95),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_stands_beside_the_pixels_does_not_matter(name):
    image, *_, error = formats.shrunk(READ[name])
    assert error is None
    for pixels in (pictures.decode(image), pictures.decode(READ[name])):
        assert np.abs(formats.corners(pixels) - formats.COLOURS).max() < 8


@pytest.mark.parametrize("size", [(1, 1), (60_000, 1), (1, 60_000), (3, 20_000)], ids=str)
def test_every_shape_is_decoded(size):
    image = Image.new("RGB", size, (9, 8, 7))
    for kind in ("PNG", "BMP", "TIFF", "JPEG"):
        assert pictures.decode(formats.saved(image, kind)).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_is_black_or_white(kind):
    pixels = pictures.decode(saved(kind, "1"))
    assert set(np.unique(pixels)) == {0, 255}
