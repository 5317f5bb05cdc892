"""First pass: judge each pair of a shard by the rules, and sort the kept ones into buckets.

A bucket is a hash of the group, and near duplicates share a group, so the second pass finds
duplicates within one bucket, without all pictures in memory.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from schemas import rows
from schemas.artifacts import DROPPED_ROWS
from schemas.folder import Folder
from schemas.settings import FilterSettings
from stages.data.parquet import PLAIN_FILE, parquet_bytes, read_table, row_groups
from stages.filter.all_pairs import COMPARED
from stages.filter.bucket_files import Row, part_files
from stages.filter.rules import why_drop
from stages.hashing import hash_bits
from stages.shards import Made


def unit_hash(seed: int, salt: str, name: str) -> float:
    """Hash the arguments to a number in [0, 1)."""
    return hash_bits(f"{seed} {salt} {name}", 48) / 2**48


class DecidePairs:
    """One per actor: judges a shard of pairs by what was measured and compared."""

    def __init__(
        self, pairs: Folder, measured: Folder, out: Folder, buckets: int, cfg: FilterSettings
    ) -> None:
        self.pairs, self.measured, self.out = pairs, measured, out
        self.buckets, self.cfg = buckets, cfg
        self.settings = cfg.model_dump()

    def __call__(self, name: str) -> Made:
        kept: list[Row] = []
        dropped: list[Row] = []
        for row in self.rows(name):
            (kept if row["reason"] is None else dropped).append(row)
        hashes = [unit_hash(self.cfg.seed, "split", row["group"]) for row in kept]
        return Made(
            files={
                **part_files(name, [(self._bucket_of(row), row) for row in kept]),
                DROPPED_ROWS + name: dropped_bytes(dropped),
            },
            rows_in=len(kept) + len(dropped),
            rows_out=len(kept),
            rejects=count(dropped),
            health={
                "lowest_hash": min(hashes, default=None),
                "highest_hash": max(hashes, default=None),
            },
        )

    def rows(self, name: str) -> Iterator[Row]:
        """Yield each pair with its scores, its group, and the reason to drop it (null: keep)."""
        measured = read_table(self.measured, name).to_pylist()
        compared = {r.pop("row"): r for r in read_table(self.out, COMPARED + name).to_pylist()}
        groups = row_groups(self.pairs, name, schema=rows.PAIR)
        pairs = (row for group in groups for row in group.to_pylist())
        for number, (pair, own) in enumerate(zip(pairs, measured, strict=True)):
            fetched = pair["status"] == "ok"
            common = compared.get(number) or {
                "group": pair["sha256"],
                "caption_pictures": 1 if fetched else None,
                "overlaps": None,
            }
            scored = pair | own | common
            reason = why_drop(scored, self.settings) if fetched else pair["reason"]
            yield scored | {"reason": reason}

    def _bucket_of(self, row: Row) -> int:
        return int(unit_hash(self.cfg.seed, "bucket", row["group"]) * self.buckets)


def dropped_bytes(found: list[Row]) -> bytes:
    """Return the rows as a Parquet file; their pictures are left out."""
    return parquet_bytes(pa.Table.from_pylist(found, rows.DROPPED), PLAIN_FILE)


def count(dropped: Sequence[Row]) -> Mapping[str, int]:
    return dict(sorted(Counter(row["reason"] for row in dropped).items()))
