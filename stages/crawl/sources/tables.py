"""A user's own table, as Parquet has it, brought to the LISTED form."""

from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from schemas.settings import SourceSettings
from stages.crawl.sources.listed import (
    LISTED,
    UNREADABLE,
    distinct,
    from_record,
    problem_row,
)
from stages.crawl.sources.parquet_columns import our_columns


def normal(rows: pa.Table, source: SourceSettings, file: str) -> pa.Table:
    """Bring a user's own table to the LISTED form; columns of bytes, like digests, stay out."""
    ours = our_columns(rows.schema, source, file)
    name = PurePosixPath(file).name
    rows = rows.select(
        [n for n, f in enumerate(rows.schema) if f.name in ours or "binary" not in str(f.type)]
    )
    names = distinct([ours.get(column, column) for column in rows.column_names])
    columns = [_values(column) for column in rows.columns]
    made = []
    for values in zip(*columns, strict=True):
        broken = next((value for value in values if isinstance(value, _Broken)), None)
        if broken is None:
            made.append(from_record(dict(zip(names, values, strict=True)), source, name))
        else:
            made.append(problem_row(UNREADABLE, f"{name}: {broken.why}"))
    return pa.Table.from_pylist(made, LISTED)


class _Broken:
    def __init__(self, why: str) -> None:
        self.why = why


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values; Parquet checks neither that text is UTF-8 nor dates."""
    try:
        return [_text(value) for value in column.to_pylist()]
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return _text(scalar.as_py())
    except (ValueError, OverflowError) as error:
        return _Broken(str(error))


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
