"""Render a scene: plain background, antialiased edges, any size."""

import math

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stages.shapes.world import Scene

SUBPIXELS = 4  # of a pixel, in each direction
FRACTION_BITS = 4  # OpenCV takes coordinates in sixteenths of a subpixel
RING_HOLE = 0.52  # of the ring's radius
ARM = 0.36  # half the width of the cross's arms, of its radius


def _regular(points: int, inner: float = 1.0) -> list[tuple[float, float]]:
    """Return the corners of a regular polygon or star, clockwise from the top, at radius 1.

    Every second corner lies at radius `inner`.
    """
    angles = [2 * math.pi * i / points for i in range(points)]
    radii = [inner if i % 2 else 1.0 for i in range(points)]
    return [(r * math.sin(a), -r * math.cos(a)) for r, a in zip(radii, angles, strict=True)]


OUTLINES: dict[str, list[tuple[float, float]]] = {  # in radii, from the centre; y points down
    "circle": _regular(64),
    "ring": _regular(64),
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": [(0, -0.9), (1, 0.85), (-1, 0.85)],
    "star": [(x - y, x + y) for x, y in _regular(8, inner=0.36)],  # four points, to the corners
    "cross": [
        *[(-ARM, -1), (ARM, -1), (ARM, -ARM), (1, -ARM), (1, ARM), (ARM, ARM)],
        *[(ARM, 1), (-ARM, 1), (-ARM, ARM), (-1, ARM), (-1, -ARM), (-ARM, -ARM)],
    ],
}


def coverage(
    shape: str, *, x: float, y: float, radius: float, width: int, height: int
) -> Float[np.ndarray, "height width"]:
    """Return the share of each pixel that the shape covers, 0 to 1; lengths are in pixels."""
    canvas = np.zeros((height * SUBPIXELS, width * SUBPIXELS), np.uint8)
    _fill(canvas, np.array(OUTLINES[shape]), x, y, radius, value=255)
    if shape == "ring":
        _fill(canvas, np.array(OUTLINES["circle"]), x, y, RING_HOLE * radius, value=0)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)


def _fill(
    canvas: UInt8[np.ndarray, "h w"],
    outline: Float[np.ndarray, "n 2"],
    x: float,
    y: float,
    radius: float,
    *,
    value: int,
) -> None:
    corners = (np.array([x, y]) + radius * outline) * SUBPIXELS - 0.5  # pixel 0's centre is at 0
    fixed = np.round(corners * 2**FRACTION_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], color=value, shift=FRACTION_BITS)


def draw(
    scene: Scene, side: int, *, width: int | None = None, height: int | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the scene `side` pixels large, in the middle of a canvas of `width` x `height`."""
    width, height = width or side, height or side
    left, top = (width - side) / 2, (height - side) / 2
    pixels = np.empty((height, width, 3), np.float32)
    pixels[:] = scene.background
    for figure in scene.figures:
        alpha = coverage(
            figure.kind.shape,
            x=left + figure.x * side,
            y=top + figure.y * side,
            radius=figure.radius * side,
            width=width,
            height=height,
        )
        pixels += alpha[..., None] * (np.array(figure.paint, np.float32) - pixels)
    return np.round(pixels).astype(np.uint8)
