"""Third pass: take one bucket out of every part, drop its duplicates and split it in two.

The same bytes under other words are one more caption of that picture and stay. A picture that is
nearly one that stays is dropped, whatever its words. A group may be a chain whose ends are not near
each other: both ends may stay, on the same side of the split.
"""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow.parquet as pq

from schemas import rows
from schemas.artifacts import DROPPED_ROWS, TRAIN, VAL
from schemas.configs import FilterJob
from schemas.folder import Folder
from stages.filter.decide import BUCKET, count, examples, table_bytes, ticket
from stages.filter.measure import Row
from stages.filter.rules import DUPLICATE, NEAR_DUPLICATE
from stages.shards import Made


class GatherBucket:
    """One per actor: makes a shard of clean pairs for train and one for val out of one bucket."""

    def __init__(
        self, out: Folder, parts: Sequence[str], validation_below: float, cfg: FilterJob
    ) -> None:
        self.out, self.parts, self.cfg = out, parts, cfg
        self.validation_below = validation_below

    def __call__(self, bucket: int) -> Made:
        """Gather the bucket with that number."""
        in_order = (row for part in self.parts for row in read_bucket(self.out, part, bucket))
        kept, dropped = without_duplicates(in_order, self.cfg.near_bits or 0)
        # Any prefix of a file is a fair sample, so the order must not be the source's.
        kept.sort(key=lambda row: ticket(self.cfg.seed, "order", row["key"]))
        split: dict[str, list[Row]] = {TRAIN: [], VAL: []}
        for row in kept:
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


def without_duplicates(in_order: Iterable[Row], near_bits: int) -> tuple[list[Row], list[Row]]:
    """Return the rows to keep and those to drop: of near pictures the first one stays."""
    stay: dict[str, dict[str, int]] = {}  # group -> sha256 -> perceptual hash
    seen: set[tuple[str, str]] = set()  # sha256, caption
    kept: list[Row] = []
    dropped: list[Row] = []
    for row in in_order:
        picture, hashed = row["sha256"], row["perceptual_hash"]
        staying = stay.setdefault(row["group"], {})
        pair = (picture, row["caption"].casefold())
        if pair in seen:
            dropped.append({**row, "reason": DUPLICATE})
        elif picture not in staying and any(
            (hashed ^ other).bit_count() <= near_bits for other in staying.values()
        ):
            dropped.append({**row, "reason": NEAR_DUPLICATE})
        else:
            staying[picture] = hashed
            seen.add(pair)
            kept.append(row)
    return kept, dropped


def read_bucket(folder: Folder, name: str, bucket: int) -> Iterator[Row]:
    """Yield the rows of one bucket; the footer says in which row groups they are."""
    with folder.open(name) as file:
        parquet = pq.ParquetFile(file)
        column = parquet.schema_arrow.get_field_index(BUCKET)
        for group in range(parquet.num_row_groups):
            if parquet.metadata.row_group(group).column(column).statistics.min == bucket:
                yield from parquet.read_row_group(group).to_pylist()
