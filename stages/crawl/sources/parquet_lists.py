"""Read url lists in Parquet in place; damage costs only the rows in it.

A row group is read until a page of it cannot be; the rows behind in this group are problems, and
the next group is read again. Where a writer left checksums of pages, they are checked.
"""

import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources.content import (
    HEAD_BYTES,
    Unavailable,
    by_content,
    plain_bytes,
    refusal,
    stored,
)
from stages.crawl.sources.listed import LISTED, Row, damage_row
from stages.crawl.sources.names import tell
from stages.crawl.sources.parquet_columns import check_texts, normal, our_columns
from stages.data.parquet import groups_of_rows

PARQUET = ".parquet"
BATCH_ROWS = 65_536  # because a row group may be huge
FEW_ROWS = 64  # at a time, to come close to damage
STREAMED_ROWS = 10_000  # of a list that is brought to another form
BROKEN = (OSError, pa.ArrowException, ValueError)  # what Arrow raises of damage


def rows_in(file: str, source: SourceSettings) -> int:
    """Return the number of rows; raise ConfigError if it is no Parquet, or columns are missing."""
    with stored(file) as raw:
        parquet = open_parquet(raw, file)
        _check_columns(parquet, source, file)
        rows: int = parquet.metadata.num_rows
        return rows


def packed_rows(file: str, source: SourceSettings) -> Iterator[Row]:
    """Yield the rows of a list that stands beside lists in text, or that gzip has packed."""
    with tempfile.TemporaryFile() as whole:  # of a packed file nothing can be skipped
        with plain_bytes(file, "Parquet", but="Parquet") as plain:
            shutil.copyfileobj(plain, whole)
        parquet = open_parquet(whole, file)
        _check_columns(parquet, source, file)
        for start in range(0, parquet.metadata.num_rows, STREAMED_ROWS):
            yield from _some(parquet, file, start, STREAMED_ROWS, source).to_pylist()


def read_rows(file: str, start: int, rows: int, source: SourceSettings) -> pa.Table:
    """Return some rows of a list, in the LISTED form; raise OSError if the store fails for now."""
    try:
        with stored(file) as raw:
            return _some(open_parquet(raw, file), file, start, rows, source)
    except Unavailable as error:  # this piece is tried again, and no other is in its way
        raise OSError(str(error)) from error


def read_ours(handle: Any, start: int, rows: int) -> pa.Table:
    """Return some rows of a list of our own, which is in this form already."""
    parquet = pq.ParquetFile(handle)
    kept: list[pa.RecordBatch] = []
    for group, low, high in groups_of_rows(parquet.metadata, start, rows):
        kept += _batches(parquet, group, low, high, BATCH_ROWS)
    return pa.Table.from_batches(kept, parquet.schema_arrow)


def _check_columns(parquet: pq.ParquetFile, source: SourceSettings, file: str) -> None:
    ours = our_columns(parquet.schema_arrow, source, file)
    check_texts(parquet, ours, source, file)
    tell(ours, file)


def open_parquet(handle: Any, file: str) -> pq.ParquetFile:
    """Open a user's file; raise ConfigError if it is no Parquet."""
    try:
        return pq.ParquetFile(handle, page_checksum_verification=True)
    except BROKEN as error:
        handle.seek(0)
        if (kind := by_content(handle.read(HEAD_BYTES))) not in ("", "Parquet"):
            raise refusal(kind, file, "Parquet") from error
        raise ConfigError(
            f"wanted a Parquet file at {file}, found none: {error}; take it out, or mend it"
        ) from error


def _some(
    parquet: pq.ParquetFile, file: str, start: int, rows: int, source: SourceSettings
) -> pa.Table:
    tables = []
    for group, low, high in groups_of_rows(parquet.metadata, start, rows):
        batches, why = _readable(parquet, group, low, high)
        read = pa.Table.from_batches(batches, parquet.schema_arrow)
        tables.append(normal(read, source, file))
        if lost := high - low - len(read):
            detail = f"{file.rpartition('/')[2]}, row group {group}: {why}"
            tables.append(pa.Table.from_pylist([damage_row(detail)] * lost, LISTED))
    return pa.concat_tables(tables)


def _readable(
    parquet: pq.ParquetFile, group: int, low: int, high: int
) -> tuple[list[pa.RecordBatch], str]:
    """Return the rows before the damage of a row group, and what Arrow says of it."""
    for batch_rows in (BATCH_ROWS, FEW_ROWS):
        kept, why = [], ""
        try:
            for batch in _batches(parquet, group, low, high, batch_rows):
                kept.append(batch)
            break
        except BROKEN as error:
            why = str(error).partition("\n")[0]
    return kept, why


def _batches(
    parquet: pq.ParquetFile, group: int, low: int, high: int, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    position = 0
    for batch in parquet.iter_batches(batch_size=batch_rows, row_groups=[group]):
        some = batch.slice(max(low - position, 0), max(high - max(position, low), 0))
        if len(some):
            yield some
        position += len(batch)
        if position >= high:
            return
    if position < high:
        raise pa.ArrowInvalid(f"{position} rows, where there should be {high} or more")
