"""Read JSON lists: an object per line, or one list of objects, alone or inside an object.

An object can be a table by itself too, as pandas and kohya's scripts write them.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources.listed import WEB, Row, Unreadable, printable
from stages.crawl.sources.names import FILE, Wanted
from stages.crawl.sources.text_lines import Endless, Lines

SPACE = " \t\r\n\ufeff"
MAX_CHARS = 200_000_000  # of a list that has to be in memory as a whole
HEAD_CHARS = 1_000_000  # looked at


def json_lines(lines: Lines) -> Iterator[Row | Unreadable]:
    while True:
        lines.begin()
        try:
            line = next(lines)
            if line.isspace():
                continue
            record = json.loads(line)
        except StopIteration:
            return
        except Endless as error:
            yield lines.unreadable(str(error))
        except (ValueError, RecursionError):
            yield lines.unreadable("no JSON")
        else:
            yield record if isinstance(record, dict) else lines.unreadable("no JSON object")


def is_whole(
    text: str, source: SourceSettings, wanted: Sequence[Wanted], *, lines_expected: bool
) -> bool:
    """Say by its beginning whether a file is one value, and not an object on each line."""
    text = text.lstrip(SPACE)
    if lines_expected or text.startswith("["):
        return re.match(r"\[\s*\{", text) is not None or not lines_expected
    first, _, rest = text.partition("\n")
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return bool(text)  # an object of several lines
    if not isinstance(value, dict):
        return True
    return not rest.strip() and bool(_lists_in(value) or _is_table(value, source, wanted))


def _is_table(value: Row, source: SourceSettings, wanted: Sequence[Wanted]) -> bool:
    try:
        return bool(table_rows(value, source, wanted))
    except ValueError:  # one that is broken, which is said when it is read
        return True


def table_rows(value: Row, source: SourceSettings, wanted: Sequence[Wanted]) -> list[Row] | None:
    """Return the rows of an object that is a table: by columns, by keys, by addresses or by names.

    None if it is none. Raises ValueError if its columns have different lengths.
    """
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list):  # pandas' "split"
        return [dict(zip(map(str, names), _cells(row), strict=True)) for row in data]
    meant = wanted[0].among(value, source)
    if meant:
        return _by_columns(value, meant[0])
    if wanted[0] is FILE:
        by_name = not _lists_in(value)  # else an object around a list of objects
    else:
        rows = [*value.values()]
        are_objects = all(isinstance(row, dict) for row in rows)
        if are_objects and any(wanted[0].among(row, source) for row in rows):
            return rows
        by_name = bool(rows) and all(key.startswith(WEB) for key in value)
    if not by_name:
        return None
    return [
        {wanted[0].named(source): key}
        | (one if isinstance(one, dict) else {source.caption_column: one})
        for key, one in value.items()
    ]


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


def _cells(row: Any) -> list[Any]:
    if not isinstance(row, list):
        raise ValueError("rows that are no lists")
    return row


def whole_list(
    lines: Lines, source: SourceSettings, wanted: Sequence[Wanted]
) -> Iterator[Row | Unreadable]:
    """Yield the objects of the one list in the file; raise ConfigError if there is none."""
    objects = _objects(lines, source, wanted)
    for number, record in enumerate(objects, start=1):
        if isinstance(record, dict):
            yield record
        else:
            shown = printable(str(record)[:100])
            yield Unreadable(f"{lines.name}, item {number}: no JSON object: {shown}")


def _objects(lines: Lines, source: SourceSettings, wanted: Sequence[Wanted]) -> list[Any]:
    text = lines.text.read(MAX_CHARS + 1).lstrip(SPACE)
    if len(text) > MAX_CHARS:
        raise _sentence(lines, f"more than {MAX_CHARS:,} characters")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _sentence(lines, f"no JSON ({error})") from error
    if isinstance(value, list):
        return value
    try:
        rows = table_rows(value, source, wanted) if isinstance(value, dict) else None
    except ValueError as error:
        raise _sentence(lines, str(error)) from error
    if rows:
        return rows
    found = _lists_in(value) if isinstance(value, dict) else []
    if len(found) != 1:
        raise _sentence(lines, f"{len(found)} lists ({', '.join(found)})" if found else "no list")
    inner: list[Any] = value[found[0]]
    return inner


def _lists_in(value: Row) -> list[str]:
    """Name the lists of objects in an object; a row's captions are a list, but not of objects."""
    return [
        name
        for name, inner in value.items()
        if isinstance(inner, list) and any(isinstance(one, dict) for one in inner)
    ]


def _sentence(lines: Lines, found: str) -> ConfigError:
    return ConfigError(
        f"wanted one list of objects in {lines.name}, found {found}; write it as JSON Lines, an "
        "object on each line, such as with `jq -c '.[]'`"
    )
