"""Second pass: collect one bucket from all parts, drop its duplicates, and split train from val.

The same picture with another caption stays. A near duplicate of a kept picture is dropped, whatever
its caption unless the settings say that captions must agree too. A group may be a chain whose ends
are not near each other: both ends may stay, on the same side of the split.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from schemas import rows
from schemas.artifacts import DROPPED_ROWS, TRAIN, VAL
from schemas.folder import Folder
from schemas.settings import FilterSettings
from stages.data.parquet import PICTURE_FILE, parquet_bytes
from stages.filter.bucket_files import Row, read_bucket
from stages.filter.decide import count, dropped_bytes, unit_hash
from stages.filter.rules import DUPLICATE, NEAR_DUPLICATE
from stages.pictures.looks import colour_layout, glance
from stages.shards import Made


class GatherBucket:
    """One per actor: makes a shard of clean pairs for train and one for val out of one bucket."""

    def __init__(
        self, out: Folder, parts: Sequence[str], validation_below: float, cfg: FilterSettings
    ) -> None:
        self.out, self.parts, self.cfg = out, parts, cfg
        self.validation_below = validation_below

    def __call__(self, bucket: int) -> Made:
        """Gather the bucket with that number; pictures are looked at only where colours decide."""
        tables = [read_bucket(self.out, part, bucket) for part in self.parts]
        found = [table for table in tables if table is not None]
        table = pa.concat_tables(found or [rows.CLEAN_PAIR.empty_table()])
        in_order = table.drop_columns(["image"]).to_pylist()
        for place, row in enumerate(in_order):
            row["place"] = place
        kept, dropped = without_duplicates(in_order, self.cfg, Layouts(table["image"]))
        # Any prefix of a file is a fair sample, so the order must not be the source's.
        kept.sort(key=lambda row: unit_hash(self.cfg.seed, "order", row["key"]))
        split: dict[str, list[int]] = {TRAIN: [], VAL: []}
        for row in kept:
            is_val = unit_hash(self.cfg.seed, "split", row["group"]) < self.validation_below
            split[VAL if is_val else TRAIN].append(row["place"])
        name = f"shard-{bucket:05d}.parquet"
        files = {
            part + name: parquet_bytes(table.take(pa.array(places, pa.int64())), PICTURE_FILE)
            for part, places in split.items()
        }
        return Made(
            files=files
            | {f"{DROPPED_ROWS}duplicates-{bucket:05d}.parquet": dropped_bytes(dropped)},
            rows_in=len(kept) + len(dropped),
            rows_out=len(kept),
            rejects=count(dropped),
            health={"validation_rows": len(split[VAL])},
        )


class Colours(Protocol):
    """Says how far apart the colours of two rows' pictures are, 0 to 255."""

    def apart(self, row: Row, other: Row) -> float: ...


class Layouts:
    """The colour layouts of a bucket's pictures, each made when it is first asked for."""

    def __init__(self, images: pa.ChunkedArray) -> None:
        self.images = images
        self.found: dict[int, Float32[np.ndarray, "cells cells 3"]] = {}

    def apart(self, row: Row, other: Row) -> float:
        """Return the largest difference of a channel's mean in any part of the two pictures."""
        return float(np.abs(self._of(row) - self._of(other)).max())

    def _of(self, row: Row) -> Float32[np.ndarray, "cells cells 3"]:
        place = row["place"]
        if place not in self.found:
            seen = glance(self.images[place].as_py(), row["height"], row["width"])
            assert seen is not None, "what cannot be decoded was dropped in the first pass"
            self.found[place] = colour_layout(seen)
        return self.found[place]


def without_duplicates(
    in_order: Iterable[Row], cfg: FilterSettings, colours: Colours
) -> tuple[list[Row], list[Row]]:
    """Return the rows to keep and those to drop: of near duplicates the first one stays."""
    stay: dict[str, dict[str, Row]] = {}  # group -> sha256 -> the first row that has it
    seen: set[tuple[str, str]] = set()  # sha256, caption
    kept: list[Row] = []
    dropped: list[Row] = []

    def are_near(row: Row, other: Row) -> bool:
        bits = (row["perceptual_hash"] ^ other["perceptual_hash"]).bit_count()
        if bits > (cfg.near_bits or 0):
            return False
        if cfg.near_same_caption and (other["sha256"], row["caption"].casefold()) not in seen:
            return False
        return cfg.near_colour is None or colours.apart(row, other) <= cfg.near_colour

    for row in in_order:
        picture, staying = row["sha256"], stay.setdefault(row["group"], {})
        pair = (picture, row["caption"].casefold())
        if pair in seen:
            dropped.append({**row, "reason": DUPLICATE})
        elif picture not in staying and any(are_near(row, other) for other in staying.values()):
            dropped.append({**row, "reason": NEAR_DUPLICATE})
        else:
            staying.setdefault(picture, row)
            seen.add(pair)
            kept.append(row)
    return kept, dropped
