"""An HTML page of token pairs: each caption with its original and its reconstruction."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from pipelines.inspect_tokens.counts import TokenCounts
from pipelines.inspect_tokens.token_shards import ShardSet, some_rows
from schemas.artifacts import CLEAN_PAIRS, DVAE
from schemas.folder import Folder
from schemas.rows import FLIP
from stages.evaluate.charts import histogram
from stages.models.dvae import Dvae
from stages.pages import is_small, template
from stages.pictures import Pixels, decode
from stages.pictures.tensors import from_tensor
from stages.weights import load_dvae

GALLERY_ROWS = 200


def gallery(found: ShardSet, tokens: TokenCounts) -> str:
    """Return the HTML page; it lacks the pictures whose dVAE or clean_pairs are gone."""
    pairs = list(some_rows(found.folder, tokens.shards.good, GALLERY_ROWS))
    spec = tokens.first.header.spec
    dvae = found.beside(DVAE.name, tokens.first.header.dvae_fingerprint)
    manifest = found.manifest
    record = manifest.inputs.get(CLEAN_PAIRS.name) if manifest else None
    clean = found.beside(CLEAN_PAIRS.name, record.fingerprint if record else None)
    shown = originals(clean, pairs, spec.side) if clean else {}
    decoded = reconstructions(load_dvae(dvae), pairs, spec.grid) if dvae else [None] * len(pairs)
    cards = [
        row | {"original": shown.get(row["key"]), "reconstruction": picture}
        for row, picture in zip(pairs, decoded, strict=True)
    ]
    pictures = [card[name] for card in cards for name in ("original", "reconstruction")]
    crisp = all(is_small(picture) for picture in pictures if picture is not None)
    return template("pipelines.inspect_tokens", "gallery.html").render(
        tokens=tokens,
        about=_about(tokens, dvae=dvae is not None, clean=clean is not None),
        chart=histogram(sorted(tokens.codes.tolist(), reverse=True), "uses of a code", "codes"),
        rendering="pixelated" if crisp else "auto",
        cards=cards,
    )


def _about(tokens: TokenCounts, *, dvae: bool, clean: bool) -> str:
    health = tokens.codebook
    words = [
        f"Some rows from {len(tokens.shards.good):,} shards. {health.used:,} of "
        f"{len(tokens.codes):,} codes are used, with perplexity {health.perplexity:,.1f}."
    ]
    if not dvae:
        words.append("The dVAE of these codes is not under this root, so they are not decoded.")
    if not clean:
        words.append("Their clean_pairs are not under this root, so there are no originals.")
    return " ".join(words)


def reconstructions(dvae: Dvae, pairs: Sequence[Mapping[str, Any]], grid: int) -> list[Pixels]:
    found: list[Pixels] = []
    with torch.inference_mode():
        for row in pairs:
            codes = torch.tensor(row["image"], dtype=torch.int64).reshape(1, grid, grid)
            found.extend(from_tensor(dvae.decode(codes)))
    return found


def originals(clean: Folder, pairs: Sequence[Mapping[str, Any]], side: int) -> dict[str, Pixels]:
    """Return by key the picture that was encoded: the row's crop from clean_pairs."""
    wanted: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in pairs:
        pair = row["key"].partition("#")[0]  # without the number of the crop, and FLIP
        wanted.setdefault(row["source_shard"], {}).setdefault(pair, []).append(row)
    found = {}
    for name, by_key in wanted.items():
        if not clean.exists(name):
            continue
        for key, image in _images(clean, name, by_key):
            pixels = decode(image)
            for row in by_key[key]:
                crop = _crop(pixels, row["crop"], side)
                found[row["key"]] = crop[:, ::-1] if row["key"].endswith(FLIP) else crop
    return found


def _images(clean: Folder, name: str, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    with clean.open(name) as file, pq.ParquetFile(file) as table:
        for group in range(table.num_row_groups):
            keys = table.read_row_group(group, columns=["key"])["key"].to_pylist()
            here = [index for index, key in enumerate(keys) if key in wanted]
            if here:
                images = table.read_row_group(group, columns=["image"])["image"].take(here)
                yield from zip((keys[i] for i in here), images.to_pylist(), strict=True)


def _crop(pixels: Pixels, box: Sequence[float], side: int) -> Pixels:
    left, top, right, bottom = box
    image = Image.fromarray(pixels)
    edges = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX, box=edges))
