"""An HTML page of token pairs: each caption, its picture, and what is left of it in the codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from pipelines.inspection.counts import Tokens
from schemas.folder import Folder
from stages.evaluate.charts import histogram
from stages.evaluate.page import is_small, uri
from stages.models.dvae import Dvae
from stages.pictures import Pixels, decode, from_tensor

CODES_SHOWN = 10


@dataclass(frozen=True)
class Card:
    """One row of the gallery."""

    row: Mapping[str, Any]
    original: Pixels | None
    reconstruction: Pixels | None


def reconstructions(dvae: Dvae, pairs: Sequence[Mapping[str, Any]], grid: int) -> list[Pixels]:
    """Decode the codes of some rows, one at a time: a gallery is small."""
    found: list[Pixels] = []
    with torch.inference_mode():
        for row in pairs:
            codes = torch.tensor(row["image"], dtype=torch.int64).reshape(1, grid, grid)
            found.extend(from_tensor(dvae.decode(codes)))
    return found


def originals(clean: Folder, pairs: Sequence[Mapping[str, Any]], side: int) -> dict[str, Pixels]:
    """Return by key what was encoded: the row's crop of its picture in clean_pairs."""
    wanted: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in pairs:
        wanted.setdefault(row["source_shard"], {})[row["key"]] = row
    found = {}
    for name, by_key in wanted.items():
        if not clean.exists(name):
            continue
        with clean.open(name) as file, pq.ParquetFile(file) as table:
            for group in range(table.num_row_groups):
                keys = table.read_row_group(group, columns=["key"])["key"].to_pylist()
                here = [index for index, key in enumerate(keys) if key in by_key]
                if here:
                    images = table.read_row_group(group, columns=["image"])["image"].take(here)
                    for index, image in zip(here, images, strict=True):
                        row = by_key[keys[index]]
                        found[keys[index]] = _crop(decode(image.as_py()), row["crop"], side)
    return found


def _crop(pixels: Pixels, box: Sequence[float], side: int) -> Pixels:
    left, top, right, bottom = box
    image = Image.fromarray(pixels)
    edges = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX, box=edges))


def render(tokens: Tokens, cards: Sequence[Card], about: str) -> str:
    """Return the page; it needs no network."""
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    ).from_string((resources.files("pipelines.inspection") / "gallery.html").read_text("utf-8"))
    pictures = [picture for card in cards for picture in (card.original, card.reconstruction)]
    crisp = all(is_small(picture) for picture in pictures if picture is not None)
    return template.render(
        tokens=tokens,
        about=about,
        chart=histogram(sorted(tokens.codes.tolist(), reverse=True), "uses of a code", "codes"),
        rendering="pixelated" if crisp else "auto",
        cards=[_fields(card) for card in cards],
    )


def _fields(card: Card) -> dict[str, Any]:
    image = card.row["image"]
    return {
        "key": card.row["key"],
        "caption": card.row["caption"],
        "shard": card.row["shard"],
        "text_length": card.row["text_length"],
        "different": len(set(image)),
        "codes": " ".join(str(code) for code in image[:CODES_SHOWN]),
        "original": None if card.original is None else uri(card.original),
        "reconstruction": None if card.reconstruction is None else uri(card.reconstruction),
    }
