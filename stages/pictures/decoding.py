"""Decode picture files: RGB, upright, in sRGB, on white, of bounded size."""

import io
import re
from collections.abc import Callable
from operator import methodcaller

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from schemas.errors import worded
from stages.pictures import jpeg, png
from stages.pictures.colour import LARGEST_PROFILE, Convert, conversion
from stages.pictures.cut import is_cut
from stages.pictures.forms import FORMATS
from stages.pictures.kinds import unread
from stages.pictures.refusal import BROKEN, PictureError

MAX_PIXELS = 67_108_864  # a small file may claim any size: look before decoding

STRIP_PIXELS = 2**21
NO_DECODER = "no picture that a decoder knows"

Pixels = UInt8[np.ndarray, "h w 3"]

EXIF_ORIENTATION = 0x0112
# How the pixels of a file are turned so that the picture stands as the camera saw it.
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels),
}
# Tags of a TIFF by which a camera's raw file is known: what decoders show of it is its thumbnail.
DNG_VERSION, KIND_OF_PICTURE, OTHER_PICTURES = 50_706, 254, 330


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Return RGB as the photographer saw it: upright, in sRGB, alpha laid on white, 16 bits as 8.

    A JPEG that lacks nothing but its end is taken as it is. Raises PictureError with reason
    `undecodable`, `truncated` or `too_many_pixels`.
    """
    try:
        return _plainly(_with_its_end(data, max_pixels), max_pixels)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:  # so large that Pillow looks no further
        claimed = re.search(r"\d+", str(error))
        raise PictureError("too_many_pixels", claimed[0] if claimed else "too many") from error
    except BROKEN as error:
        if other := unread(data):
            raise PictureError("undecodable", other) from error
        reason = "truncated" if is_cut(data) else "undecodable"
        unknown = isinstance(error, UnidentifiedImageError)
        raise PictureError(reason, NO_DECODER if unknown else worded(error)) from error


def _with_its_end(data: bytes, max_pixels: int) -> bytes:
    """Return a JPEG that lacks its end with one; raise PictureError if pixels are missing too."""
    if not data.startswith(jpeg.START) or jpeg.has_end(data):
        return data
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        _refuse_large(image, max_pixels)
    whole = jpeg.mended(data)
    if whole is None:
        raise PictureError("truncated", "a JPEG that is cut off before its last pixels")
    return whole


def _plainly(data: bytes, max_pixels: int) -> Pixels:
    """Decode; a JPEG whose texts or tags the decoder stumbles over, without them."""
    try:
        return _upright(data, max_pixels)
    except PictureError:
        raise
    except BROKEN:
        if not data.startswith(jpeg.START) or (plain := jpeg.plain(data)) == data:
            raise
        return _upright(plain, max_pixels)


def _upright(data: bytes, max_pixels: int) -> Pixels:
    """Convert strip by strip: whole copies of a large picture would take gigabytes."""
    profile = None
    if data.startswith(png.SIGNATURE):
        data, profile = png.plain(data, LARGEST_PROFILE)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _refuse_large(image, max_pixels)
        _refuse_raw(image)
        image.load()
        in_srgb = conversion(image.mode, profile or image.info.get("icc_profile"))
        in_srgb = in_srgb or methodcaller("convert", "RGB")
        pixels = np.empty((image.height, image.width, 3), np.uint8)
        rows = max(1, STRIP_PIXELS // image.width)
        for top in range(0, image.height, rows):
            bottom = min(top + rows, image.height)
            strip = image if rows >= image.height else image.crop((0, top, image.width, bottom))
            pixels[top:bottom] = np.asarray(_on_white(_eight_bits(strip), in_srgb))
        turn = UPRIGHT.get(orientation_of(image))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def orientation_of(image: Image.Image) -> int:
    """Return the number of how to turn a picture; broken EXIF says nothing of it."""
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except BROKEN:
        return 1


def _refuse_large(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise PictureError("too_many_pixels", f"{image.width} x {image.height}")


def _refuse_raw(image: Image.Image) -> None:
    tags = getattr(image, "tag_v2", {})
    if DNG_VERSION in tags or (OTHER_PICTURES in tags and tags.get(KIND_OF_PICTURE, 0) & 1):
        raise PictureError("undecodable", "a camera's raw picture, which is not read")


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow's own conversion clips them to white
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65_535)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("pixels are floating point numbers of unknown range")
    return image


def _on_white(image: Image.Image, in_srgb: Convert) -> Image.Image:
    if image.mode == "CMYK" or not image.has_transparency_data:
        return in_srgb(image)
    alpha = image.convert("RGBA")
    opacity = alpha.getchannel("A")
    alpha = in_srgb(alpha.convert("RGB")).convert("RGBA")
    alpha.putalpha(opacity)
    white = Image.new("RGBA", alpha.size, "white")
    return Image.alpha_composite(white, alpha).convert("RGB")
