"""Cut clean_pairs into the parts that become one token file each."""

import math
from dataclasses import dataclass

import pyarrow.parquet as pq

from schemas import rows
from schemas.artifacts import TRAIN, VAL
from schemas.folder import Folder
from stages.threads import in_threads


@dataclass(frozen=True)
class Part:
    """Rows of a clean_pairs file that become one file of tokens."""

    source: str
    name: str
    start: int
    rows: int


def cut(clean: Folder, rows_per_shard: int) -> list[Part]:
    """List the parts to encode: a file of clean pairs each, a large one in several."""
    names = [name for split in (TRAIN, VAL) for name in clean.list(split)]

    def size_of(name: str) -> int:
        with clean.open(name) as file:
            parquet = pq.ParquetFile(file)
            rows.check(parquet.schema_arrow, rows.CLEAN_PAIR, where=f"{clean.url}/{name}")
            return parquet.metadata.num_rows

    parts = []
    for name, size in zip(names, in_threads(size_of, names), strict=True):
        count = max(math.ceil(size / rows_per_shard), 1)
        for number in range(count):
            start = number * rows_per_shard
            ending = f"-{number:05d}.parquet" if count > 1 else ".parquet"
            part = name.removesuffix(".parquet") + ending
            parts.append(Part(name, part, start, min(rows_per_shard, size - start)))
    return parts
