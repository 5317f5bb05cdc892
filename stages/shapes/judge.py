"""Say what is in a picture of the demo's world, by looking at its pixels. Nothing is learned.

The border tells the background. For each colour of the palette a map says how much of each pixel
is that colour laid over that background; its connected patches are brought to one size and
compared with every shape, drawn at several sharpnesses, the star also with its points worn off. A
patch that resembles no shape well enough is not reported, so noise and plain pictures show nothing.
"""

import itertools
from collections import Counter
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stages.shapes.drawing import coverage
from stages.shapes.world import COLOURS, SHAPES, Kind, named

SIDE = 64  # pictures are looked at in this size
BORDER = 3  # pixels that are surely background
TOLERANCE = 60.0  # levels by which a pixel may miss a colour and still look like it
SOLID = 0.45  # of a pixel: where a patch is taken to be
SMALLEST = 30.0  # pixels: a patch of less is noise
RESEMBLANCE = 0.66  # overlap with the best shape, from which on a patch counts as one
OVERLAP = 0.4  # of a patch that a better one may cover
FRAME, SPREAD = 32, 7.0  # patches are compared in this frame, at this root mean square radius
WEAR = {"star": 0.2}  # of the radius: its points are thinner than that brush, and may be lost
BLURS = (0.05, 0.15, 0.25, 0.4, 0.55)  # of the spread
CLOSE = np.ones((3, 3), np.uint8)  # bridges the gaps of a ring drawn roughly

Map = Float[np.ndarray, "h w"]


def judge(pixels: UInt8[np.ndarray, "h w 3"]) -> list[Kind]:
    """List the colour and shape of everything found, the largest first."""
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
        if taken[where].mean() > OVERLAP:  # another colour explains these pixels better
            continue
        taken |= cv2.dilate(where.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        shape, resemblance = _most_like(patch)
        if resemblance >= RESEMBLANCE:
            found.append(Kind(colour, shape))
    return found


def right(prompt: str, pixels: UInt8[np.ndarray, "h w 3"]) -> bool:
    """Say whether every shape that the prompt names is there in its own colour.

    A prompt that names nothing of this world is never right.
    """
    wanted = Counter(named(prompt))
    return bool(wanted) and wanted <= Counter(judge(pixels))


def _background(picture: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "3"]:
    inside = np.zeros(picture.shape[:2], bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    return np.median(picture[~inside], axis=0)


def _share_of(
    colour: str, picture: Float[np.ndarray, "h w 3"], background: Float[np.ndarray, "3"]
) -> Map:
    """Tell how much of each pixel is this colour, 0 to 1, where the rest is background."""
    away = np.array(COLOURS[colour], np.float32) - background
    share = np.clip((picture - background) @ away / max(float(away @ away), 1.0), 0, 1)
    missed = np.linalg.norm(picture - background - share[..., None] * away, axis=-1)
    return share * np.exp(-((missed / TOLERANCE) ** 2))


def _patches(share: Map) -> list[Map]:
    """Cut a map into its connected patches, each with its soft edge."""
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


def _most_like(patch: Map) -> tuple[str, float]:
    """Return the shape that overlaps best, and by how much: intersection over union, 0 to 1."""
    names, templates = _templates()
    framed = _frame(patch)
    overlap = np.minimum(framed, templates).sum((1, 2)) / np.maximum(framed, templates).sum((1, 2))
    best = int(overlap.argmax())
    return names[best], float(overlap[best])


def _frame(patch: Map) -> Map:
    """Bring the patch's centre of mass to the middle of a frame and its spread to SPREAD."""
    rows, columns = np.indices(patch.shape, dtype=np.float32)
    mass = patch.sum()
    y, x = (rows * patch).sum() / mass, (columns * patch).sum() / mass
    spread = np.sqrt((((rows - y) ** 2 + (columns - x) ** 2) * patch).sum() / mass)
    scale = SPREAD / spread
    middle = (FRAME - 1) / 2
    into_frame = np.array([[scale, 0, middle - scale * x], [0, scale, middle - scale * y]])
    framed = cv2.warpAffine(patch, into_frame, (FRAME, FRAME), flags=cv2.INTER_LINEAR)
    return framed / max(float(framed.max()), 1e-6)


@cache
def _templates() -> tuple[list[str], Float[np.ndarray, "n frame frame"]]:
    """Draw every shape at every sharpness, whole and worn, framed as patches are."""
    names, templates = [], []
    for shape in SHAPES:
        large = coverage(shape, x=64, y=64, radius=30, width=128, height=128)
        for wear, blur in itertools.product({0.0, WEAR.get(shape, 0.0)}, BLURS):
            brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * round(30 * wear) + 1] * 2)
            worn = cv2.morphologyEx(large, cv2.MORPH_OPEN, brush)
            names.append(shape)
            templates.append(_frame(cv2.GaussianBlur(worn, (0, 0), blur * 15)))
    return names, np.stack(templates)
