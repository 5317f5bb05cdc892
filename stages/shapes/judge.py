"""Find the shapes in a picture of the demo's world by its pixels. Nothing is learned.

The border gives the background colour. For each colour of the palette, a map holds the share of
each pixel that is that colour over the background. The map's connected patches are scaled to one
size and compared with every shape at several blurs, the star also with its points worn off. A patch
that resembles no shape well enough is not reported, so noise and plain pictures show nothing. Where
the patch lies and how large it is, next to the shape that it resembles, gives place and size.
"""

import itertools
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stages.shapes.atoms import SeenShape
from stages.shapes.drawing import coverage
from stages.shapes.world import COLOURS, SHAPES, ShapeKind

SIDE = 64  # pixels; other pictures are resized to it
BORDER = 3  # pixels; no shape reaches into it
TOLERANCE = 60.0  # levels of 255 by which a pixel may differ from a colour and still count as it
SOLID = 0.45  # a patch consists of pixels of which a larger share is its colour
SMALLEST = 30.0  # pixels; a smaller patch is noise
RESEMBLANCE = 0.66  # least overlap with the best shape for a patch to be one
OVERLAP = 0.4  # largest share of a patch that larger patches may cover
FRAME, SPREAD = 32, 7.0  # pixels: side and root mean square radius of compared patches
WEAR = {"star": 0.2}  # share of the radius: detail thinner than that may be missing
BLURS = (0.05, 0.15, 0.25, 0.4, 0.55)  # of the templates, as shares of their spread
CLOSE = np.ones((3, 3), np.uint8)  # closes the gaps of a roughly drawn ring

Map = Float[np.ndarray, "h w"]


class PatchMoments(NamedTuple):
    """Centre of mass and root mean square distance from it, in pixels; 0 is the first one's centre.

    In units of the radius and from the shape's centre, where it is of a template.
    """

    x: float
    y: float
    rms: float


class Template(NamedTuple):
    """A shape as a patch may show it."""

    shape: str
    framed: Map
    moments: PatchMoments


def judge(pixels: UInt8[np.ndarray, "h w 3"]) -> list[ShapeKind]:
    """Return the colour and shape of everything found, the largest first."""
    return [one.kind for one in find_shapes(pixels)]


def find_shapes(pixels: UInt8[np.ndarray, "h w 3"]) -> list[SeenShape]:
    """Return everything found with its place and size, the largest first."""
    if pixels.shape[:2] != (SIDE, SIDE):
        pixels = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    picture = pixels.astype(np.float32)
    background = _background(picture)
    patches = [
        (patch, colour)
        for colour in COLOURS
        for patch in _patches(_share_of(colour, picture, background))
    ]
    patches.sort(key=lambda item: -item[0].sum())
    taken = np.zeros((SIDE, SIDE), bool)
    found = []
    for patch, colour in patches:
        where = patch > SOLID
        if taken[where].mean() > OVERLAP:  # a larger patch of another colour explains these pixels
            continue
        taken |= cv2.dilate(where.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        template, resemblance = _most_like(patch)
        if resemblance >= RESEMBLANCE:
            found.append(_measured(colour, patch, template))
    return found


def _background(picture: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "3"]:
    inside = np.zeros(picture.shape[:2], bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    return np.median(picture[~inside], axis=0)


def _share_of(
    colour: str, picture: Float[np.ndarray, "h w 3"], background: Float[np.ndarray, "3"]
) -> Map:
    """Return the share of each pixel that is this colour over the background, 0 to 1."""
    away = np.array(COLOURS[colour], np.float32) - background
    share = np.clip((picture - background) @ away / max(float(away @ away), 1.0), 0, 1)
    missed = np.linalg.norm(picture - background - share[..., None] * away, axis=-1)
    return share * np.exp(-((missed / TOLERANCE) ** 2))


def _patches(share: Map) -> list[Map]:
    """Return the connected patches of a map, each with its soft edge, alone on a map of zeros."""
    solid = cv2.morphologyEx((share > SOLID).astype(np.uint8), cv2.MORPH_CLOSE, CLOSE)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    patches = []
    for label in range(1, count):  # 0 is the rest of the picture
        if stats[label, cv2.CC_STAT_AREA] < SMALLEST:
            continue
        own = cv2.dilate((labels == label).astype(np.uint8), np.ones((5, 5), np.uint8))
        others = (labels != label) & (labels != 0)
        patches.append(np.where((own > 0) & ~others, share, 0).astype(np.float32))
    return patches


def _most_like(patch: Map) -> tuple[Template, float]:
    """Return the template that overlaps best and its intersection over union, 0 to 1."""
    templates, stack = _templates()
    framed = _frame(patch, _moments(patch))
    overlap = np.minimum(framed, stack).sum((1, 2)) / np.maximum(framed, stack).sum((1, 2))
    best = int(overlap.argmax())
    return templates[best], float(overlap[best])


def _measured(colour: str, patch: Map, template: Template) -> SeenShape:
    """Return a patch as the template it resembles, as large and where that must be to fit."""
    own, unit = _moments(patch), template.moments
    radius = float(own.rms / unit.rms)
    x, y = (float(mass) + 0.5 - radius * off for mass, off in zip(own[:2], unit[:2], strict=True))
    return SeenShape(ShapeKind(colour, template.shape), x / SIDE, y / SIDE, radius / SIDE)


def _moments(patch: Map) -> PatchMoments:
    rows, columns = np.indices(patch.shape, dtype=np.float32)
    mass = patch.sum()
    y, x = (rows * patch).sum() / mass, (columns * patch).sum() / mass
    rms = np.sqrt((((rows - y) ** 2 + (columns - x) ** 2) * patch).sum() / mass)
    return PatchMoments(x, y, rms)


def _frame(patch: Map, own: PatchMoments) -> Map:
    """Move the patch's centre of mass to the middle of a frame and scale its spread to SPREAD."""
    scale = SPREAD / own.rms
    middle = (FRAME - 1) / 2
    into_frame = np.array([[scale, 0, middle - scale * own.x], [0, scale, middle - scale * own.y]])
    framed = cv2.warpAffine(patch, into_frame, (FRAME, FRAME), flags=cv2.INTER_LINEAR)
    return framed / max(float(framed.max()), 1e-6)


@cache
def _templates() -> tuple[list[Template], Float[np.ndarray, "n frame frame"]]:
    """Return every shape at every blur, whole and worn, framed as patches are; and as one array."""
    templates = []
    for shape in SHAPES:
        large = coverage(shape, x=64, y=64, radius=30, width=128, height=128)
        for wear, blur in itertools.product({0.0, WEAR.get(shape, 0.0)}, BLURS):
            brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * round(30 * wear) + 1] * 2)
            worn = cv2.morphologyEx(large, cv2.MORPH_OPEN, brush)
            soft = cv2.GaussianBlur(worn, (0, 0), blur * 15)
            own = _moments(soft)
            unit = PatchMoments(*(length / 30 for length in (own.x - 63.5, own.y - 63.5, own.rms)))
            templates.append(Template(shape, _frame(soft, own), unit))
    return templates, np.stack([template.framed for template in templates])
