"""Match the columns of a user's Parquet table, and bring its rows to the LISTED form."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources.listed import LISTED, Row, Unreadable, distinct, from_record, printable
from stages.crawl.sources.names import CAPTION, FILE, URL, Wanted, plain, renamed


def normal(rows: pa.Table, source: SourceSettings, file: str) -> pa.Table:
    """Bring a user's own table to the LISTED form; columns of bytes, like digests, stay out."""
    ours = our_columns(rows.schema, source, file)
    name = PurePosixPath(file).name
    rows = rows.select(
        [n for n, f in enumerate(rows.schema) if f.name in ours or "binary" not in str(f.type)]
    )
    names = distinct([ours.get(column, column) for column in rows.column_names])
    records = records_of(rows.rename_columns(names), name)
    return pa.Table.from_pylist([from_record(one, source, name) for one in records], LISTED)


def records_of(
    rows: pa.Table | pa.RecordBatch, place: str, errors: str = "strict"
) -> Iterator[Row | Unreadable]:
    """Yield rows by column name, with text for bytes; Parquet checks neither UTF-8 nor dates."""
    columns = [list(_values(column, errors)) for column in rows.columns]
    for values in zip(*columns, strict=True):
        broken = next((value for value in values if isinstance(value, Unreadable)), None)
        if broken is None:
            yield dict(zip(rows.schema.names, values, strict=True))
        else:
            yield Unreadable(f"{place}: {broken}")


def _values(column: pa.ChunkedArray | pa.Array, errors: str) -> Iterator[Any]:
    for scalar in column:
        try:
            value = scalar.as_py()
            yield value.decode(errors=errors) if isinstance(value, bytes) else value
        except (ValueError, OverflowError) as error:
            yield Unreadable(error)


LOOKED_AT = 64  # values of a column of bytes
OF_PICTURES = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "bytes")


def our_columns(schema: pa.Schema, source: SourceSettings, file: str) -> dict[str, str]:
    """Return which columns stand for the address and the caption, under their own names.

    Raises ConfigError if one is not there, or can hold no text.
    """
    texts = _of(schema, lambda kind: not _is_nested(kind) and not _is_bytes(kind))
    listed = [*texts, *_of(schema, lambda kind: _is_list(kind) and not _has_bytes(kind))]
    urls = _with_bytes(texts, schema, URL, source)
    meant = URL.among(schema.names, source)
    if not set(meant) & set(urls) and (meant or not any(plain(n) in URL.aliases for n in texts)):
        _refuse(schema, meant, texts, source, file)
    captions = [name for name in schema.names if name in listed]
    captions = _with_bytes(captions, schema, CAPTION, source)
    ours = renamed(urls, source, file, (URL,))
    others = [name for name in captions if name not in ours]
    return ours | renamed(others or captions, source, file, (CAPTION,))


def check_texts(
    parquet: pq.ParquetFile, ours: dict[str, str], source: SourceSettings, file: str
) -> None:
    """Raise ConfigError if the column of addresses is one of bytes, and they are no text."""
    schema = parquet.schema_arrow
    (url,) = (mine for mine, name in ours.items() if name == source.url_column)
    if not _is_bytes(_kind(schema, url)):
        return
    try:
        for batch in parquet.iter_batches(LOOKED_AT, columns=[url]):
            for value in chain.from_iterable(column.to_pylist() for column in batch.columns):
                (value or b"").decode()
            return
    except UnicodeDecodeError:
        _refuse(schema, [url], [name for name in schema.names if name != url], source, file)
    except (OSError, pa.ArrowException):
        return  # damage costs its own rows


def _refuse(
    schema: pa.Schema, meant: Sequence[str], texts: Sequence[str], source: SourceSettings, file: str
) -> None:
    """Raise ConfigError where pictures lie inside the table, or the column holds no text."""
    inside = _pictures(schema, meant)
    if inside and not set(meant) & set(texts):
        shown = printable(inside[0])
        raise ConfigError(
            f"wanted a column '{source.url_column}' of addresses in {file}, but pictures lie "
            f"inside the column '{shown}'; write them out as files and read them with "
            "crawl.source.kind=folder"
        )
    if meant:
        kind = str(_kind(schema, meant[0]))[:100]
        raise ConfigError(
            f"wanted texts in the column '{printable(meant[0])}' of {file}, found {kind}; set "
            "crawl.source.url_column to a column that holds one address in each row"
        )


def _pictures(schema: pa.Schema, meant: Sequence[str]) -> list[str]:
    """Name the columns that hold pictures, those that are meant for addresses first."""
    found = []
    for name in sorted(schema.names, key=lambda name: name not in meant):
        kind = _kind(schema, name)
        is_named = plain(name) in FILE.aliases or any(one in plain(name) for one in OF_PICTURES)
        if _has_bytes(kind) and (is_named or _is_nested(kind) or plain(name) in URL.aliases):
            found.append(name)
    return found


def _kind(schema: pa.Schema, name: str) -> pa.DataType:
    return schema.field(schema.names.index(name)).type  # of several of this name the first


def _with_bytes(
    names: Sequence[str], schema: pa.Schema, column: Wanted, source: SourceSettings
) -> list[str]:
    """Add the column of bytes that has the name: some writers mark no text as such."""
    marked = [*names]
    if not column.among(names, source):
        marked += column.among(_of(schema, _is_bytes), source)
    return [name for name in schema.names if name in marked]


def _of(schema: pa.Schema, is_one: Callable[[pa.DataType], bool]) -> list[str]:
    return [field.name for field in schema if is_one(field.type)]


def _is_bytes(kind: pa.DataType) -> bool:
    return "binary" in str(kind) and not _is_nested(kind)


def _is_list(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in (pa.types.is_list, pa.types.is_large_list))


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind))


def _has_bytes(kind: pa.DataType) -> bool:
    """Return whether values have bytes inside; those of a fixed size are digests."""
    return "binary" in str(kind) and not pa.types.is_fixed_size_binary(kind)
