"""Tables as whole Parquet files in memory: the same rows give the same bytes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import rows
from schemas.artifacts import TRAIN, VAL
from schemas.errors import ConfigError
from schemas.folder import Folder

Row = dict[str, Any]

# Where tables of others have pictures: as bytes, or as a struct that has `bytes`.
PICTURE_COLUMNS = ("image", "jpg", "png", "picture")
# Where they have what a picture is called.
NAME_COLUMNS = ("picture", "file_name", "image", "name", "key", "id")
CANDIDATE_COLUMNS = ("prompt_id", "candidate")  # of a run's samples, called PROMPT_ID/CANDIDATE

ZSTD: Mapping[str, Any] = {"compression": "zstd", "compression_level": 1}

# Rows with pictures: 256 of them are what a reader has in memory at once.
PICTURE_FILE: Mapping[str, Any] = {"row_group_size": 256, **ZSTD}

# Rows of numbers and short texts.
PLAIN_FILE: Mapping[str, Any] = {"row_group_size": 65_536, **ZSTD}

# Rows of tokens: a small file that is quick to read (measured), in encodings that every reader
# knows: DuckDB 1.2, fastparquet and Spark 3.5 refuse BYTE_STREAM_SPLIT of integers, which takes
# 2 % less space and 4 % less time. Without a dictionary, pages would take a third more of both,
# because Parquet has no 16-bit type. A checksum in each page finds a flipped bit without the
# manifest, and costs a reader that asks for it (`page_checksum_verification`) 0.8 of 7 microseconds
# a row.
TOKEN_FILE: Mapping[str, Any] = {
    "row_group_size": 1024,
    **ZSTD,
    "use_dictionary": ["text.list.element", "image.list.element"],
    "write_statistics": False,
    "write_page_checksum": True,
}


def parquet_file(
    tables: Iterable[pa.Table], schema: pa.Schema, options: Mapping[str, Any]
) -> bytes:
    """Return the tables as one Parquet file, with one of them in memory at a time."""
    buffer = pa.BufferOutputStream()
    how = {name: value for name, value in options.items() if name != "row_group_size"}
    with pq.ParquetWriter(buffer, schema, **how) as writer:
        for table in tables:
            writer.write_table(table, options["row_group_size"])
    return buffer.getvalue().to_pybytes()


def parquet_bytes(table: pa.Table, options: Mapping[str, Any]) -> bytes:
    """Return the table as a Parquet file, also if it has no rows."""
    return parquet_file([table], table.schema, options)


def read_table(folder: Folder, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a committed table, or some of its columns; for tables without pictures."""
    with folder.open(name) as file:
        return pq.read_table(file, columns=columns)


def row_groups(
    folder: Folder,
    name: str,
    columns: Sequence[str] | None = None,
    *,
    schema: pa.Schema | None = None,
    first: int = 0,
    checksums: bool = False,
) -> Iterator[pa.Table]:
    """Yield a committed table from row group `first` on, one of them in memory at a time.

    Checks the schema if it is given, and with `checksums` those of all pages.
    """
    with (
        folder.open(name) as file,
        pq.ParquetFile(file, page_checksum_verification=checksums) as table,
    ):
        if schema is not None:
            rows.check(table.schema_arrow, schema, where=f"{folder.url}/{name}")
        for group in range(first, table.num_row_groups):
            yield table.read_row_group(group, columns, use_threads=False)


def groups_of_rows(
    footer: pq.FileMetaData, start: int, count: int
) -> Iterator[tuple[int, int, int]]:
    """Yield each row group that holds some of these rows, and which of its own rows they are."""
    before = 0
    for group in range(footer.num_row_groups):
        size = footer.row_group(group).num_rows
        low, high = max(start - before, 0), min(start + count - before, size)
        if low < high:
            yield group, low, high
        before += size


def read_rows(folder: Folder, part: str, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a part of an artifact, holding one row group at a time."""
    for name in folder.list(part):
        for group in row_groups(folder, name, columns):
            yield from group.to_pylist()


def validation_part(folder: Folder) -> str:
    """Return val/, or train/ where a small corpus left val/ empty."""
    return TRAIN if next(read_rows(folder, VAL, ["key"]), None) is None else VAL


def picture_column(schema: pa.Schema, name: str) -> str:
    """Return the column of picture files in a table of others; raise ConfigError if none is."""
    for column in PICTURE_COLUMNS:
        if column not in schema.names:
            continue
        kind = schema.field(column).type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return column
    raise ConfigError(
        f"wanted a column of picture files named {', '.join(PICTURE_COLUMNS)} in '{name}', found "
        f"{', '.join(schema.names)}; rename it"
    )


def picture_names(parquet: pq.ParquetFile, group: int, file: str) -> list[str]:
    """Return what the pictures of a row group are called: as a column says, or by file and row."""
    schema = parquet.schema_arrow
    if set(CANDIDATE_COLUMNS) <= set(schema.names):
        rows = parquet.read_row_group(group, list(CANDIDATE_COLUMNS)).to_pylist()
        return ["{prompt_id}/{candidate}".format(**row) for row in rows]
    for column in NAME_COLUMNS:
        if column in schema.names and _is_name(schema.field(column).type):
            return [str(name) for name in parquet.read_row_group(group, [column])[0].to_pylist()]
    size = parquet.metadata.row_group(group).num_rows
    return [f"{PurePosixPath(file).stem}/{group}-{row}" for row in range(size)]


def _is_name(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
