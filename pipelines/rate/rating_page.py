"""The page of one rater: one HTML file with all of its pictures, which needs no network."""

from collections.abc import Mapping

import numpy as np
from einops import rearrange

from pipelines.rate.rating_plan import PlannedPage, PlannedPair, RatingPlan
from stages.pages import template
from stages.pictures import Pixels

TILES = 4  # along each side of a ruined picture
NOISE = 60  # standard deviation of a ruined picture's noise, of 255

Uris = Mapping[int, tuple[str, str]]  # of the first and second picture, by the pair's number


def ruined(pixels: Pixels, seed: int) -> Pixels:
    """Return a picture that nobody takes for a real one: its tiles shuffled, noise over it."""
    rng = np.random.default_rng(seed)
    tiles = min(TILES, *pixels.shape[:2])
    height, width = (side // tiles * tiles for side in pixels.shape[:2])
    apart = rearrange(pixels[:height, :width], "(r h) (c w) rgb -> (r c) h w rgb", r=tiles, c=tiles)
    shuffled = rearrange(
        rng.permutation(apart), "(r c) h w rgb -> (r h) (c w) rgb", r=tiles, c=tiles
    )
    noisy = shuffled + rng.normal(0, NOISE, shuffled.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def render_page(plan: RatingPlan, page: PlannedPage, uris: Uris, *, crisp: bool) -> str:
    """Return the page; nothing in it says which system drew what, or which questions are gold."""
    by_number = {pair.number: pair for pair in plan.pairs}
    shown = [
        _shown(by_number[number], uris[number], first_is_left)
        for number, first_is_left in zip(page.pairs, page.first_is_left, strict=True)
    ]
    return template("pipelines.rate", "page.html").render(
        task={"plan": plan.identity, "rater": page.rater, "pairs": shown},
        rendering="pixelated" if crisp else "auto",
    )


def _shown(pair: PlannedPair, uris: tuple[str, str], first_is_left: bool) -> dict[str, str | int]:
    left, right = uris if first_is_left else uris[::-1]
    return {"number": pair.number, "caption": pair.caption, "left": left, "right": right}
