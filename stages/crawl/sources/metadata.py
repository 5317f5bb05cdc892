"""Read metadata files, which describe the pictures of their folder, as records by column name."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa

from schemas.settings import SourceSettings
from stages.crawl.sources.json_records import MAX_CHARS, table_rows
from stages.crawl.sources.listed import Row, Unreadable, printable
from stages.crawl.sources.names import CAPTION_OF_PICTURE, FILE, plain, renamed, tell
from stages.crawl.sources.parquet_columns import records_of
from stages.crawl.sources.parquet_lists import open_parquet
from stages.crawl.sources.text_lines import decoded
from stages.crawl.sources.text_lists import read_records
from stages.storage import opened

BATCH_ROWS = 1_000
OF_PIXELS = ("image", "img", "picture", "photo")  # columns that may hold pictures themselves
Records = Iterator[Row | Unreadable]


class OfOtherThings(Exception):
    """A metadata.json that is an album's or a data set's, and names no picture."""


def metadata_records(
    address: str, source: SourceSettings, is_like: Callable[[str], bool]
) -> Records:
    """Yield the records of a metadata file, the picture's name under `source.file_column`.

    `is_like` says whether a text looks like the name of a picture. Raises ConfigError if there is
    no such column, or the file is no table, and OfOtherThings.
    """
    if address.lower().endswith(".parquet"):
        return _parquet_records(address, source)
    if address.lower().endswith("metadata.json"):
        _require_pictures(address, source, is_like)
    return read_records(address, source, (FILE,))


def _parquet_records(address: str, source: SourceSettings) -> Records:
    name, done = address.rpartition("/")[2], 0
    with opened(address) as file:
        parquet = open_parquet(file, address)
        columns = _columns(parquet.schema_arrow, source)
        ours = renamed(columns, source, address, (FILE,))
        tell(ours, name)
        try:
            for batch in parquet.iter_batches(BATCH_ROWS, columns=columns):
                rows = batch.rename_columns([ours.get(one, one) for one in batch.schema.names])
                # What is no UTF-8 makes its row an unreadable one later, with its place.
                yield from records_of(rows, "a row of metadata.parquet", "surrogateescape")
                done += len(batch)
        except (pa.ArrowInvalid, OSError) as error:
            yield Unreadable(f"{name}, all after row {done}: {printable(str(error))}")


def _columns(schema: pa.Schema, source: SourceSettings) -> list[str]:
    """Return the columns of text and numbers, and those of bytes that must be text (Spark's)."""
    texts = [field.name for field in schema if "binary" not in str(field.type)]
    may_be = [field.name for field in schema if str(field.type) in ("binary", "large_binary")]
    for wanted in (FILE, CAPTION_OF_PICTURE):
        if not wanted.among(texts, source):
            found = wanted.among(may_be, source)
            texts += [name for name in found if plain(name) not in OF_PIXELS and name not in texts]
    return texts


def _require_pictures(address: str, source: SourceSettings, is_like: Callable[[str], bool]) -> None:
    """Raise OfOtherThings unless names of records, or some text in them, may name a picture."""
    with opened(address) as file:
        data = file.read(MAX_CHARS + 1)
    try:
        value = json.loads(decoded(data, source.encoding))
    except (ValueError, RecursionError):  # lines of JSON, or nothing of the kind, or too much
        return
    names: Any = value
    with suppress(ValueError):
        if isinstance(value, dict) and not FILE.among(value, source):
            records = table_rows(value, source, (FILE,)) or ()
            names = [record.get(source.file_column) for record in records] or value
    if not any(is_like(text) for text in _texts(names)):
        raise OfOtherThings


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value of JSON, and every number, which may be a name."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict | list):
            left += one.values() if isinstance(one, dict) else one
        elif isinstance(one, str | int):
            yield str(one)
