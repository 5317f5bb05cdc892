"""Metadata files, which describe the pictures of their folder, as records: columns by name."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources.content import HEAD_BYTES, by_content, refusal
from stages.crawl.sources.listed import Row, printable
from stages.crawl.sources.names import CAPTION_OF_PICTURE, FILE, plain, renamed, tell
from stages.crawl.sources.text_lines import Unreadable, decoded
from stages.crawl.sources.text_lists import read_records
from stages.storage import opened

MAX_JSON_BYTES = 200_000_000  # which have to be in memory as a whole
BATCH_ROWS = 1_000
PARQUET = "Parquet"
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
    ending = address.lower().rpartition(".")[2]
    if ending == "parquet":
        return _parquet_records(address, source)
    if ending == "json":
        return _json_records(address, source, is_like)
    return read_records(address, source, (FILE,))


def _parquet_records(address: str, source: SourceSettings) -> Records:
    with opened(address) as file:
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowInvalid, OSError) as error:
            file.seek(0)
            if (kind := by_content(file.read(HEAD_BYTES))) not in ("", PARQUET):
                raise refusal(kind, address, PARQUET) from error
            raise ConfigError(
                f"wanted a Parquet file at {address}, found none: {error}; take it out, or mend it"
            ) from error
        columns = _columns(parquet.schema_arrow, source)
        ours = _told(columns, source, address)
        done = 0
        try:
            for batch in parquet.iter_batches(BATCH_ROWS, columns=columns):
                for record in _rows_of(batch):
                    yield (
                        _under_our_names(_as_text(record), ours)
                        if isinstance(record, dict)
                        else record
                    )
                done += len(batch)
        except (pa.ArrowInvalid, OSError) as error:
            name = address.rpartition("/")[2]
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


def _as_text(record: Row) -> Row:
    """Return the record with text for bytes; what is no UTF-8 makes its row an unreadable one."""
    return {
        name: value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
        for name, value in record.items()
    }


def _rows_of(batch: pa.RecordBatch) -> Records:
    """Yield rows one by one where a value cannot be had, for Parquet checks no text."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        for at in range(len(batch)):
            try:
                yield batch.slice(at, 1).to_pylist()[0]
            except (ValueError, OverflowError) as error:
                yield Unreadable(f"a row of metadata.parquet: {error}")


def _json_records(address: str, source: SourceSettings, is_like: Callable[[str], bool]) -> Records:
    """Read an object that has the pictures' names for keys, or else leave it to the lists' reader.

    kohya's scripts write such objects; pandas writes one of columns.
    """
    with opened(address) as file:
        data = file.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise ConfigError(
            f"wanted at most {MAX_JSON_BYTES:,} bytes of JSON in {address}, found more; write it "
            "as JSON Lines, an object on each line, such as with `jq -c '.[]'`"
        )
    try:
        value = json.loads(decoded(data, source.encoding))
    except (ValueError, RecursionError):  # lines of JSON, or nothing of the kind
        value = None
    if value is not None and address.lower().endswith("metadata.json"):
        _require_pictures(value, source, is_like)
    if isinstance(value, dict) and (records := _by_name(value, source)):
        names = list(dict.fromkeys(name for record in records for name in record))
        ours = _told(names, source, address)
        return (_under_our_names(record, ours) for record in records)
    return read_records(address, source, (FILE,))


def _require_pictures(value: Any, source: SourceSettings, is_like: Callable[[str], bool]) -> None:
    """Raise OfOtherThings unless names of records, or some text in them, may name a picture."""
    names: list[Any] = []
    if isinstance(value, dict) and not FILE.among(value, source):
        names = [record[source.file_column] for record in _by_name(value, source)]
    if not any(is_like(text) for text in _texts(names or value)):
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


def _by_name(value: Row, source: SourceSettings) -> list[Row]:
    """Return the records of an object by pictures' names, or of columns; none of another."""
    columns = {name: _cells(cells) for name, cells in value.items()}
    if FILE.among(value, source):
        sizes = {len(cells) for cells in columns.values() if cells is not None}
        if None in columns.values() or len(sizes) != 1:
            return []
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    lists = [inner for inner in value.values() if isinstance(inner, list)]
    if any(isinstance(one, dict) for inner in lists for one in inner):
        return []  # an object around a list of them
    return [
        {source.file_column: name}
        | (one if isinstance(one, dict) else {source.caption_column: one})
        for name, one in value.items()
    ]


def _cells(column: Any) -> list[Any] | None:
    if isinstance(column, dict):
        return list(column.values())
    return column if isinstance(column, list) else None


def _told(columns: Sequence[str], source: SourceSettings, address: str) -> dict[str, str]:
    """Return which column stands for the one of names, and say so."""
    ours = renamed(columns, source, address, (FILE,))
    tell(ours, address.rpartition("/")[2])
    return ours


def _under_our_names(record: Row, ours: Mapping[str, str]) -> Row:
    return {ours.get(name, name): value for name, value in record.items()}
