"""Find a few rows in an artifact of any size without reading the pictures."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.folder import Folder
from stages.threads import THREADS, in_threads

FILES_AT_ONCE = 4 * THREADS
READ_AHEAD_BYTES = 2**16


def rows_where(
    folder: Folder, prefixes: Collection[str], wanted: Mapping[str, Collection[str]]
) -> Iterator[dict[str, Any]]:
    """Yield rows in which one of the columns has one of its wanted values.

    Each row also has its `file`, and lacks pictures and tokens.
    """
    names = [n for prefix in prefixes for n in folder.list(prefix) if n.endswith(".parquet")]
    for start in range(0, len(names), FILES_AT_ONCE):
        some = names[start : start + FILES_AT_ONCE]
        for found in in_threads(lambda name: _search(folder, name, wanted), some):
            yield from found


def _search(
    folder: Folder, name: str, wanted: Mapping[str, Collection[str]]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with folder.open(name) as file:
        _read_little_ahead(file)
        table = pq.ParquetFile(file)
        schema = table.schema_arrow
        looked_at = [column for column in wanted if column in schema.names]
        shown = [field.name for field in schema if _is_plain(field.type)]
        for group in range(table.num_row_groups):
            part = table.read_row_group(group, columns=looked_at)
            places = {
                place
                for column in looked_at
                for place in pc.indices_nonzero(
                    pc.is_in(part[column], value_set=pa.array(list(wanted[column]), pa.string()))
                ).to_pylist()
            }
            if places:
                rows = table.read_row_group(group, columns=shown).take(sorted(places))
                found += [row | {"file": name} for row in rows.to_pylist()]
    return found


def _read_little_ahead(file: BinaryIO) -> None:
    """Keep an object store's file from fetching 50 MB of pictures behind each column."""
    if (cache := getattr(file, "cache", None)) is not None:
        cache.blocksize = READ_AHEAD_BYTES


def _is_plain(kind: pa.DataType) -> bool:
    return not (pa.types.is_binary(kind) or pa.types.is_nested(kind))
