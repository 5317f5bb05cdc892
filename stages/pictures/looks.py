"""Scores of a decoded picture: its perceptual hash, its contrast, and the layout of its colours.

The layout is the grid of mean colours of Kasutani and Yamada (2001), without their transform.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float32

from stages.pictures import PictureError, Pixels, decode

JPEG = b"\xff\xd8"
# A JPEG's decoder halves, quarters or takes an eighth at a fraction of the cost of the whole.
SHRINKING = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}
ENOUGH = 64  # pixels of the short side that are left by the strongest shrinking used
FREQUENCIES = 9  # along each axis, counted in half waves per side: 0 to 8
# Row and column frequency of each bit, highest bit first: the 8 x 8 lowest without the average,
# which says how bright and not what, and (0, 8) in its place.
BITS = (*[(row, column) for row in range(8) for column in range(8)][1:], (0, 8))
ROWS, COLUMNS = np.array(BITS).T
# A symmetrical drawing has half of its waves at nought, where noise would toss coins for the bits.
CLEAR = 0.1  # of the waves' root mean square
ROUNDING = 0.01  # levels: what is weaker was made by rounding
CELLS = 8  # along each side, of a layout


@dataclass(frozen=True)
class Glance:
    """A picture small enough to be measured cheaply.

    The last row and column may lie partly beyond the picture: `height` and `width` are how many of
    the pixels it really spans.
    """

    pixels: Pixels
    height: float
    width: float


def glance(data: bytes, height: int, width: int) -> Glance | None:
    """Decode a picture file of this size small and in colour; None if it cannot be decoded.

    A JPEG is decoded small, any other format whole and then made small: OpenCV's own way of making
    those small skips pixels, and what it sees is not the picture.
    """
    if not data.startswith(JPEG):
        try:
            return whole(decode(data))
        except PictureError:
            return None
    shrink = _shrink(height, width)
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), SHRINKING[shrink])
    except cv2.error:  # more pixels than it is allowed to decode
        return None
    if found is None:
        return None
    return Glance(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), height / shrink, width / shrink)


def whole(pixels: Pixels) -> Glance:
    """Look at a picture that has been decoded already, at the size that a JPEG is decoded to."""
    height, width = pixels.shape[:2]
    shrink = _shrink(height, width)
    if shrink > 1:
        bottom, right = -height % shrink, -width % shrink
        pixels = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        sides = (pixels.shape[1] // shrink, pixels.shape[0] // shrink)
        pixels = cv2.resize(pixels, sides, interpolation=cv2.INTER_AREA)
    return Glance(pixels, height / shrink, width / shrink)


def _shrink(height: int, width: int) -> int:
    return next(s for s in SHRINKING if s == 1 or min(height, width) >= s * ENOUGH)


def perceptual_hash(seen: Glance) -> int:
    """Return 64 bits, a bit for each of the slowest waves in the luminance: is it clearly there?

    The waves are the cosines of a discrete cosine transform over the picture's true extent, so the
    size at which it was decoded does not matter; nor do brightness and contrast, until they clip.
    A picture without contrast has no bits; those of one with hardly any are noise.
    """
    grey = cv2.cvtColor(seen.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    down = _waves(grey.shape[0], seen.height)
    across = _waves(grey.shape[1], seen.width)
    strength = (down @ grey @ across.T)[ROWS, COLUMNS]
    clear = strength > max(CLEAR * np.sqrt(np.mean(strength**2)), ROUNDING)
    return int.from_bytes(np.packbits(clear).tobytes(), "big")


def colour_layout(seen: Glance) -> Float32[np.ndarray, "cells cells 3"]:
    """Return the mean colour of each of CELLS x CELLS parts, in levels of 0 to 255."""
    pixels = seen.pixels.astype(np.float32)
    return cv2.resize(pixels, (CELLS, CELLS), interpolation=cv2.INTER_AREA)


def contrast(seen: Glance) -> float:
    """Return the largest standard deviation of a colour channel, in levels of 0 to 255.

    By channel, because red on a grey of the same luminance is not flat.
    """
    return float(cv2.meanStdDev(seen.pixels)[1].max())


@lru_cache(maxsize=4096)
def _waves(pixels: int, extent: float) -> Float32[np.ndarray, "frequencies pixels"]:
    """Return the mean of each cosine over each pixel, times the pixel's share of the extent."""
    edges = np.minimum(np.arange(pixels + 1), extent) / extent
    pi_k = np.pi * np.arange(1, FREQUENCIES)[:, None]
    waves = np.diff(np.sin(pi_k * edges) / pi_k)
    return np.concatenate([np.diff(edges)[None], waves]).astype(np.float32)
