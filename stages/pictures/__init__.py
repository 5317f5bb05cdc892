"""Picture files to pixels, and the paper's crops of them.

Paper: listing 1 (dVAE) and listing 2 (prior) of appendices A.2 and B.2, for any training side R in
place of 256. Resizing averages areas and only ever shrinks, so a picture whose short side is under
R is refused. The same bytes and generator give the same pixels on every machine.
"""

import io
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from einops import rearrange
from PIL import Image, PngImagePlugin

from stages.pictures.decoding import Pixels, decode
from stages.pictures.forms import SUFFIXES
from stages.pictures.refusal import PictureError


def encode_png(pixels: Pixels, text: Mapping[str, str] | None = None) -> bytes:
    """Return a PNG file with `text` in its text chunks; equal arguments give equal bytes."""
    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        chunks.add_text(key, value)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=chunks, compress_level=6)
    return file.getvalue()


def crop_for_dvae(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """Listing 1: a square anywhere, shrunk to 9/8 to 12/8 of `side`, a window of it, a coin flip.

    Raises PictureError with reason `too_small`.
    """
    height, width, short = _sides(pixels, side)
    top, left = (int(rng.integers(0, length - short + 1)) for length in (height, width))
    smallest, largest = min(short, round(9 / 8 * side)), min(short, round(12 / 8 * side))
    size = int(rng.integers(smallest, largest + 1))
    square = _square(pixels, top, left, short, size)
    top, left = rng.integers(0, size - side + 1, 2)
    window = square[top : top + side, left : left + side]
    return np.ascontiguousarray(window[:, ::-1] if rng.random() < 0.5 else window)


def crop_for_prior(
    pixels: Pixels, side: int, rng: np.random.Generator
) -> tuple[Pixels, tuple[float, float, float, float]]:
    """Listing 2: a square near the centre, shrunk to 8/8 to 9/8 of `side`, a window of it.

    No flip, because pictures may contain text. Also returns the window's left, top, right and
    bottom in pixels of the input. Raises PictureError with reason `too_small`.
    """
    height, width, short = _sides(pixels, side)
    top, left = _near_centre(height - short, rng), _near_centre(width - short, rng)
    size = int(rng.integers(side, min(short, round(9 / 8 * side)) + 1))
    square = _square(pixels, top, left, short, size)
    y, x = rng.integers(0, size - side + 1, 2).tolist()
    scale = short / size
    box = (left + x * scale, top + y * scale, left + (x + side) * scale, top + (y + side) * scale)
    return np.ascontiguousarray(square[y : y + side, x : x + side]), box


def crop_centre(pixels: Pixels, side: int) -> Pixels:
    """Return the centre square shrunk to `side`: the same picture every time, for measuring.

    Raises PictureError with reason `too_small`.
    """
    height, width, short = _sides(pixels, side)
    return _square(pixels, (height - short) // 2, (width - short) // 2, short, side)


def _sides(pixels: Pixels, side: int) -> tuple[int, int, int]:
    height, width = pixels.shape[:2]
    if min(height, width) < side:
        raise PictureError("too_small", f"{width} x {height}, the short side must be {side}")
    return height, width, min(height, width)


def _square(pixels: Pixels, top: int, left: int, short: int, size: int) -> Pixels:
    square = pixels[top : top + short, left : left + short]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)


def _near_centre(slack: int, rng: np.random.Generator) -> int:
    low = 3 * slack // 8
    return int(rng.integers(low, max(low + 1, 5 * slack // 8)))


def contact_sheet(pictures: Sequence[Pixels], columns: int, gap: int = 2) -> Pixels:
    """Lay pictures of one size out in rows of `columns`, on white, `gap` pixels apart."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    cells = np.full((rows * columns, gap + height, gap + width, 3), 255, np.uint8)
    cells[: len(pictures), gap:, gap:] = pictures
    sheet = rearrange(cells, "(r c) h w rgb -> (r h) (c w) rgb", r=rows)
    return np.pad(sheet, ((0, gap), (0, gap), (0, 0)), constant_values=255)
