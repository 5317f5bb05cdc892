"""Files between the two passes: the kept rows of a shard, bucket by bucket.

A part is one file of Arrow streams, one per bucket that has rows, with an index of their offsets:
reading one bucket of a part takes two small reads.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa

from schemas import rows
from schemas.folder import Folder

PARTS = "parts/"
ROWS_PER_BUCKET = 8_192  # half a gigabyte of pictures; the second pass holds them twice

Row = dict[str, Any]


def buckets_for(rows_in: int, at_least: int) -> int:
    """Return how many buckets keep each small enough, and no fewer than were asked for."""
    return max(at_least, -(-rows_in // ROWS_PER_BUCKET))


def part_files(name: str, bucketed: Sequence[tuple[int, Row]]) -> dict[str, bytes]:
    """Return the part's two files for rows that know their bucket."""
    data, index = bytearray(), {}
    for bucket, found in groupby(sorted(bucketed, key=itemgetter(0)), key=itemgetter(0)):
        table = pa.Table.from_pylist([row for _, row in found], rows.CLEAN_PAIR)
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, rows.CLEAN_PAIR) as writer:
            writer.write_table(table)
        index[bucket] = (len(data), stream.tell())
        data += stream.getvalue()
    return {PARTS + name: bytes(data), f"{PARTS}{name}.json": json.dumps(index).encode()}


def read_bucket(folder: Folder, name: str, bucket: int) -> pa.Table | None:
    """Return the rows of one bucket in the part called `name`, None if it has none."""
    with folder.open(f"{PARTS}{name}.json") as file:
        place = json.load(file).get(str(bucket))
    if place is None:
        return None
    with folder.open(PARTS + name) as file:
        file.seek(place[0])
        return pa.ipc.open_stream(file.read(place[1])).read_all()
