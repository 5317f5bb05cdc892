"""README's picture: prompts of a demo that has run, each with the four best candidates."""

import io
from itertools import product

from PIL import Image, ImageDraw, ImageFont

from infra.store import Store
from schemas.artifacts import SAMPLES
from stages import shapes
from stages.data.parquet import read_rows

BEST = 4  # pictures of a prompt
UNSEEN, TWO = 6, 2  # prompts
COLUMNS, GAP, TEXT = 2, 8, 40  # prompts in a row; pixels between pictures, and for a prompt
NOTE = {"held_out": "  (never seen)"}


def draw(run: str) -> Image.Image:
    """Draw the strips of pictures, with their prompts below them."""
    found = favourites(run)
    side = Image.open(io.BytesIO(next(iter(found.values()))[0])).width
    strip, height = BEST * (side + GAP), side + TEXT
    chosen = prompts_shown(list(found))
    size = (COLUMNS * (strip + 2 * GAP), -(-len(chosen) // COLUMNS) * height + GAP)
    sheet = Image.new("RGB", size, "white")
    places = product(range(GAP, size[1], height), range(GAP, size[0], strip + 2 * GAP))
    for (top, left), (kind, prompt) in zip(places, chosen, strict=False):
        for number, png in enumerate(found[kind, prompt]):
            picture = Image.open(io.BytesIO(png)).convert("RGB")
            sheet.paste(picture, (left + number * (side + GAP), top))
        words = prompt + NOTE.get(kind, "")
        font = ImageFont.load_default(14)
        ImageDraw.Draw(sheet).text((left, top + side + GAP), words, fill="black", font=font)
    return sheet


def favourites(run: str) -> dict[tuple[str, str], list[bytes]]:
    """Return the pictures that CLIP finds best, by set and prompt."""
    table = read_rows(Store(run).newest(SAMPLES), "table/", ("set", "prompt", "rank", "png"))
    best = [row for row in table if row["rank"] < BEST]
    found: dict[tuple[str, str], list[bytes]] = {}
    for row in sorted(best, key=lambda row: row["rank"]):
        found.setdefault((row["set"], row["prompt"]), []).append(row["png"])
    return found


def prompts_shown(every: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Choose without looking: wordings of combinations in turn, and the first of two shapes."""
    wordings: dict[frozenset[shapes.ShapeKind], list[tuple[str, str]]] = {}
    for kind, prompt in every:
        if kind == "held_out":
            wordings.setdefault(frozenset(shapes.named(prompt)), []).append((kind, prompt))
    one_each = [own[place % len(own)] for place, own in enumerate(wordings.values())]
    step = max(1, len(one_each) // UNSEEN)
    return one_each[::step][:UNSEEN] + [one for one in every if one[0] == "two_shapes"][:TWO]
