"""Url lists as text (CSV, TSV, JSONL), one row at a time; a broken line is a row, not a crash."""

import csv
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, TextIO

import fsspec

from schemas.configs import SourceSettings
from schemas.errors import ConfigError
from stages.crawl.listed import as_json, check_columns

DELIMITERS = {".csv": ",", ".tsv": "\t"}
TEXT_SUFFIXES = (*DELIMITERS, ".jsonl")
MAX_FIELD_CHARS = 10_000_000  # an unclosed quote would otherwise swallow the rest of the file


def suffix_of(file: str) -> str:
    """Return the ending that names the format; `.gz` behind it is no format."""
    path = PurePosixPath(file.lower())
    return PurePosixPath(path.stem).suffix if path.suffix == ".gz" else path.suffix


def read_records(file: str) -> Iterator[dict[str, Any]]:
    """Yield each row's columns by name; a line that is no JSON object has only `broken_line`."""
    with fsspec.open(
        file, "rt", encoding="utf-8-sig", errors="replace", newline="", compression="infer"
    ) as text:
        if suffix_of(file) == ".jsonl":
            yield from map(_parse_line, filter(str.strip, text))
        else:
            yield from _read_delimited(text, DELIMITERS[suffix_of(file)], file)


def _parse_line(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    return row if isinstance(row, dict) else {"broken_line": line.strip()}


def _read_delimited(text: TextIO, delimiter: str, file: str) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.DictReader(text, delimiter=delimiter, restkey="more_columns")
    try:
        yield from reader
    except csv.Error as error:
        raise ConfigError(
            f"wanted rows of text in {file}, but near line {reader.line_num}: {error}; "
            "mend the quotes of that line"
        ) from error


def read_text_list(file: str, source: SourceSettings) -> Iterator[dict[str, str | None]]:
    """Yield rows in the LISTED form; raise ConfigError if the first has no url or caption."""
    checked = False
    for record in read_records(file):
        if not checked and "broken_line" not in record:
            check_columns(list(record), source, file)
            checked = True
        url, caption = record.pop(source.url_column, None), record.pop(source.caption_column, None)
        yield {
            "url": _text(url) or "",
            "caption": _text(caption),
            "caption_file": None,
            "source": as_json(record),
        }


def _text(value: Any) -> str | None:
    return None if value is None else str(value).strip()
