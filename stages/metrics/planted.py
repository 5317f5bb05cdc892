"""Copies of training pictures that a check for copies must find: each kind is a way to copy."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from stages.pictures import Pixels, decode

BRIGHTER = 1.2
JPEG_QUALITY = 50  # blocks are visible at a second glance


def exact(pixels: Pixels) -> Pixels:
    return pixels.copy()


def flipped(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def brightened(pixels: Pixels) -> Pixels:
    return np.clip(np.rint(pixels * BRIGHTER), 0, 255).astype(np.uint8)


def reencoded(pixels: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
    return decode(file.getvalue())


PLANTED: dict[str, Callable[[Pixels], Pixels]] = {
    "exact": exact,
    "flipped": flipped,
    "brightened": brightened,
    "reencoded": reencoded,
}
