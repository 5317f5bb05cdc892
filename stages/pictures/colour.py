"""Convert the colours of an embedded ICC profile to sRGB.

About every seventh photograph has such a profile; taken for sRGB, its red is brown. A profile that
is broken, too large, or of another kind of pixels than the picture's is as good as none. Nor do we
read a PNG's gAMA and cHRM or the colours of a video frame (cICP, nclx): what writes the former
mostly means sRGB, and decoders hide the latter from us.
"""

import io
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageCms

from stages.pictures.refusal import BROKEN

LARGEST_PROFILE = 4 * 2**20  # bytes; a printing press's has about two million
GREY = ("1", "L", "LA", "La")
SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# What sRGB itself looks like through an equal profile: rounding, nothing else.
SAME = 1  # level
PROBES = {"RGB": 9, "L": 256, "CMYK": 2}  # levels of each channel that are tried

Convert = Callable[[Image.Image], Image.Image]


def conversion(mode: str, profile: bytes | None) -> Convert | None:
    """Return what makes RGB in sRGB of opaque pictures of a mode; None if their colours are right.

    None also if the profile cannot be used. Grey may have a profile of colours.
    """
    if not profile or len(profile) > LARGEST_PROFILE:
        return None
    grey = mode in GREY or mode.startswith("I")
    for space in ("L", "RGB") if grey else ("CMYK",) if mode == "CMYK" else ("RGB",):
        if convert := _converter(profile, space):
            return partial(_by_way_of, space, convert)
    return None


def _by_way_of(mode: str, convert: Convert, image: Image.Image) -> Image.Image:
    return convert(image.convert(mode))


@lru_cache(maxsize=16)
def _converter(profile: bytes, mode: str) -> Convert | None:
    """Remember the answer: thousands of pictures share a profile, mostly one that is sRGB."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if SPACES.get(source.profile.xcolor_space) != mode:
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        transform = ImageCms.ImageCmsTransform(source, srgb, mode, "RGB")
        changed = transform.apply(_probe(mode))
    except BROKEN:
        return None
    if mode != "CMYK":
        same = np.asarray(_probe(mode).convert("RGB"), np.int16)
        if np.abs(np.asarray(changed, np.int16) - same).max() <= SAME:
            return None
    return transform.apply


def _probe(mode: str) -> Image.Image:
    """Return a picture of colours from all over the space."""
    levels = np.linspace(0, 255, PROBES[mode]).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * len(mode), indexing="ij"), axis=-1)
    pixels = grid.reshape(1, -1, len(mode))
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)
