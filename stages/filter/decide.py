"""Second pass: name what is wrong with each pair of a shard, and sort the others into buckets.

A bucket is a hash of the group, and near duplicates share a group, so that each bucket can find its
own duplicates in the third pass and nothing needs all the pictures.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import pyarrow as pa

from schemas import rows
from schemas.artifacts import DROPPED_ROWS
from schemas.folder import Folder
from schemas.settings import FilterSettings
from stages.data.parquet import PLAIN_FILE, parquet_bytes, read_table
from stages.filter.compare import COMPARED
from stages.filter.measure import read_groups
from stages.filter.parts import Row, part_files
from stages.filter.rules import Scores, why_drop
from stages.shards import Made

MEASURES = [field.name for field in rows.MEASURES]


def ticket(seed: int, salt: str, name: str) -> float:
    """Return a number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed} {salt} {name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


class DecidePairs:
    """One per actor: judges a shard of pairs by what was measured and compared."""

    def __init__(
        self, pairs: Folder, measured: Folder, out: Folder, buckets: int, cfg: FilterSettings
    ) -> None:
        self.pairs, self.measured, self.out = pairs, measured, out
        self.buckets, self.cfg = buckets, cfg

    def __call__(self, name: str) -> Made:
        """Judge the shard called `name`."""
        kept: list[Row] = []
        dropped: list[Row] = []
        for row in self.rows(name):
            (kept if row["reason"] is None else dropped).append(row)
        tickets = [ticket(self.cfg.seed, "split", row["group"]) for row in kept]
        return Made(
            files={
                **part_files(name, [(self.bucket_of(row), row) for row in kept]),
                DROPPED_ROWS + name: dropped_bytes(dropped),
            },
            rows_in=len(kept) + len(dropped),
            rows_out=len(kept),
            rejects=count(dropped),
            health={
                "lowest_ticket": min(tickets, default=None),
                "highest_ticket": max(tickets, default=None),
            },
        )

    def rows(self, name: str) -> Iterator[Row]:
        """Yield each pair with its scores, its group and the reason why it is dropped, or none."""
        measured = read_table(self.measured, name).to_pylist()
        compared = {r.pop("row"): r for r in read_table(self.out, COMPARED + name).to_pylist()}
        pairs = (row for group in read_groups(self.pairs, name) for row in group)
        for number, (pair, own) in enumerate(zip(pairs, measured, strict=True)):
            fetched = pair["status"] == "ok"
            alone = {"group": pair["sha256"], "caption_pictures": 1 if fetched else None}
            common = compared.get(number, alone)
            scores = Scores(
                caption_pictures=common["caption_pictures"],
                overlaps=common.get("overlaps"),
                **{measure: own[measure] for measure in MEASURES},
            )
            found = {
                "caption": own["caption"],
                "group": common["group"],
                "reason": why_drop(scores, self.cfg) if fetched else pair["reason"],
            }
            yield pair | asdict(scores) | found

    def bucket_of(self, row: Row) -> int:
        """Return the bucket of the row's group."""
        return int(ticket(self.cfg.seed, "bucket", row["group"]) * self.buckets)


def dropped_bytes(found: list[Row]) -> bytes:
    """Return the rows as a Parquet file; their pictures are left out."""
    return parquet_bytes(pa.Table.from_pylist(found, rows.DROPPED), PLAIN_FILE)


def count(dropped: Sequence[Row]) -> Mapping[str, int]:
    """Count rows by reason."""
    return dict(sorted(Counter(row["reason"] for row in dropped).items()))
