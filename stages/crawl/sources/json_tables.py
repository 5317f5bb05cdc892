"""One JSON object that is a table: by columns, by keys, or by addresses."""

from collections.abc import Sequence
from typing import Any

from schemas.settings import SourceSettings
from stages.crawl.sources.listed import Row
from stages.crawl.sources.names import URL, Wanted
from stages.crawl.sources.separators import WEB


def table_rows(value: Row, source: SourceSettings, wanted: Sequence[Wanted]) -> list[Row] | None:
    """Return the rows of an object that is a table, or None if it is none.

    Raises ValueError if its columns have different lengths.
    """
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list):  # pandas' "split"
        return [dict(zip(map(str, names), _cells(row), strict=True)) for row in data]
    meant = wanted[0].among(value, source)
    if meant:
        return _by_columns(value, meant[0])
    rows = [*value.values()]
    are_objects = all(isinstance(row, dict) for row in rows)
    if are_objects and any(wanted[0].among(row, source) for row in rows):
        return rows
    if wanted[0] is URL and rows and all(key.startswith(WEB) for key in value):
        return [{source.url_column: url} | _described(one, source) for url, one in value.items()]
    return None


def _by_columns(value: Row, first: str) -> list[Row] | None:
    """Return the rows of columns: lists, or objects with the rows' keys; others are no columns."""
    keys = value[first]
    if isinstance(keys, dict):
        by_key = {name: cells for name, cells in value.items() if isinstance(cells, dict)}
        return [{name: cells.get(key) for name, cells in by_key.items()} for key in keys]
    if not isinstance(keys, list):
        return None
    columns = {name: cells for name, cells in value.items() if isinstance(cells, list)}
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of different lengths {lengths}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _described(one: Any, source: SourceSettings) -> Row:
    return one if isinstance(one, dict) else {source.caption_column: one}


def _cells(row: Any) -> list[Any]:
    if not isinstance(row, list):
        raise ValueError("rows that are no lists")
    return row
