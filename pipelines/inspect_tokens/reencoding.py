"""Encode a sample of the stored rows again with the stage's own code, and compare."""

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipelines.inspect_tokens.token_shards import row_groups
from schemas.artifacts import BPE, CLEAN_PAIRS, DVAE
from schemas.errors import SchemaMismatch
from schemas.folder import Folder, Inputs
from schemas.manifest import Manifest
from schemas.settings import EncodeSettings
from stages import encode
from stages.encode.encode_part import EncodePart
from stages.encode.row_ranges import Part, cut

TILES = 4  # batches of pictures, each from another shard


@dataclass
class Reencoded:
    """How a fresh encoding compares with the stored rows."""

    shards: int = 0
    rows: int = 0
    codes: int = 0
    other_codes: int = 0
    broken: dict[str, str] = field(default_factory=dict)  # shard -> a wrong text, crop or row
    other: dict[str, str] = field(default_factory=dict)  # shard -> different codes


def encode_again(
    stored: Folder, manifest: Manifest, makers: Mapping[str, Folder], names: Collection[str]
) -> Reencoded:
    """Encode a random tile of pictures of some shards.

    Raises SchemaMismatch if this version of the code cannot.
    """
    cfg = _settings(manifest)
    encoder = EncodePart(
        clean=makers[CLEAN_PAIRS.name],
        dvae=makers[DVAE.name],
        bpe=makers[BPE.name],
        header=encode.header(Inputs(makers), cfg),
        cfg=cfg,
    )
    parts = [p for p in cut(makers[CLEAN_PAIRS.name], cfg.rows_per_shard) if p.name in names]
    rng = np.random.default_rng()
    again = Reencoded()
    for number in sorted(rng.permutation(len(parts))[:TILES]):
        part = parts[number]
        if part.rows:
            again.shards += 1
            _compare(_encoded(encoder, part, cfg, rng), stored, part.name, again)
    return again


def _settings(manifest: Manifest) -> EncodeSettings:
    """Return the settings the shards were made with, for this machine's devices."""
    if manifest.revision != encode.REVISION:
        raise SchemaMismatch(
            f"revision {manifest.revision} of encode made them, and this is {encode.REVISION}"
        )
    try:
        return EncodeSettings.model_validate(manifest.settings)
    except ValidationError as error:
        raise SchemaMismatch("this version does not know all of their settings") from error


def _encoded(
    encoder: EncodePart, part: Part, cfg: EncodeSettings, rng: np.random.Generator
) -> pa.Table:
    count = min(cfg.tile, part.rows)
    start = part.start + int(rng.integers(part.rows - count + 1))
    made = encoder(replace(part, start=start, rows=count))
    return pq.read_table(io.BytesIO(made.files[part.name]))


def _compare(fresh: pa.Table, stored: Folder, name: str, again: Reencoded) -> None:
    wanted = {row["key"]: row for row in fresh.to_pylist()}
    have: dict[str, dict[str, Any]] = {}
    for group in row_groups(stored, name):
        here = [n for n, key in enumerate(group["key"].to_pylist()) if key in wanted]
        have |= {row["key"]: row for row in group.take(pa.array(here, pa.int64())).to_pylist()}
    for key, row in wanted.items():
        if key not in have:
            again.broken.setdefault(name, f"has no row for {key}, but encode makes one")
            continue
        again.rows += 1
        differ = [field for field in row if field != "image" and row[field] != have[key][field]]
        if differ:
            problem = f"{', '.join(differ)} of {key} differ from what encode makes"
            again.broken.setdefault(name, problem)
        codes = sum(a != b for a, b in zip(row["image"], have[key]["image"], strict=True))
        again.codes += len(row["image"])
        again.other_codes += codes
        if codes:
            problem = f"{codes:,} codes of {key} differ from what encode makes"
            again.other.setdefault(name, problem)
