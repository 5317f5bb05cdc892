"""README's pictures: prompts of a run that has finished, each with the four best candidates.

`python -m tests.bench.readme_pictures RUN FILE` writes that of a run on real pictures: of the
captions that it drew, the first ones that no training picture has, though training has every word
of them; one for each first word. The demo's is written by demo_results.
"""

import io
import sys
from collections.abc import Sequence
from itertools import product

from PIL import Image, ImageDraw, ImageFont

from infra.store import Store
from schemas.artifacts import CLEAN_PAIRS, SAMPLES, TRAIN, VAL
from stages import shapes
from stages.data.parquet import read_rows
from tests.bench.recognition import askable, captions_of

BEST = 4  # pictures of a prompt
UNSEEN, TWO = 6, 2  # prompts of the demo
REAL = 8  # prompts of a run on real pictures
SIDE = 96  # of a picture: the demo's own
COLUMNS, GAP, TEXT = 2, 8, 40  # prompts in a row; pixels between pictures, and for a prompt
NOTE = {"held_out": "  (never seen)"}


def draw(run: str) -> Image.Image:
    """Draw strips of the demo's pictures."""
    found = favourites(run)
    return strips([
        (prompt + NOTE.get(kind, ""), found[kind, prompt])
        for kind, prompt in prompts_shown(list(found))
    ])  # fmt: skip


def draw_real(run: str) -> Image.Image:
    """Draw strips of a run on real pictures."""
    clean = Store(run).newest(CLEAN_PAIRS)
    known = set(askable(captions_of(clean, TRAIN), captions_of(clean, VAL)))
    found = favourites(run)
    one_each = {prompt.split()[0]: prompt for _, prompt in reversed(found) if prompt in known}
    shown = [(prompt, pngs) for (_, prompt), pngs in found.items() if prompt in one_each.values()]
    return strips(shown[:REAL])


def strips(prompts: Sequence[tuple[str, Sequence[bytes]]]) -> Image.Image:
    """Draw the pictures of each prompt in a strip, with the words below it."""
    strip, height = BEST * (SIDE + GAP), SIDE + TEXT
    size = (COLUMNS * (strip + 2 * GAP), -(-len(prompts) // COLUMNS) * height + GAP)
    sheet = Image.new("RGB", size, "white")
    places = product(range(GAP, size[1], height), range(GAP, size[0], strip + 2 * GAP))
    for (top, left), (words, pngs) in zip(places, prompts, strict=False):
        for number, png in enumerate(pngs):
            picture = Image.open(io.BytesIO(png)).convert("RGB").resize((SIDE, SIDE))
            sheet.paste(picture, (left + number * (SIDE + GAP), top))
        font = ImageFont.load_default(14)
        ImageDraw.Draw(sheet).text((left, top + SIDE + GAP), words, fill="black", font=font)
    return sheet


def favourites(run: str) -> dict[tuple[str, str], list[bytes]]:
    """Return the pictures that the run ranks first, by set and prompt."""
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


if __name__ == "__main__":
    run, file = sys.argv[1:]
    draw_real(run).quantize(256).save(file, optimize=True)  # a third of the bytes
