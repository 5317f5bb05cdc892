"""Url lists as text (CSV, TSV, JSONL), one row at a time; a broken line is a row, not a crash."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import PurePosixPath

from schemas.configs import SourceSettings
from stages.crawl.sources.delimited import Delimited
from stages.crawl.sources.listed import UNREADABLE, Row, check_columns, from_record, problem_row
from stages.crawl.sources.text_lines import Endless, Lines, Unreadable, opened

DELIMITERS = {".csv": ",", ".tsv": "\t"}
TEXT_SUFFIXES = (*DELIMITERS, ".jsonl")
LOOKED_AT = 100  # rows in which the columns must show up: JSON may leave a column out


def suffix_of(file: str) -> str:
    """Return the ending that names the format; `.gz` behind it is no format."""
    path = PurePosixPath(file.lower())
    return PurePosixPath(path.stem).suffix if path.suffix == ".gz" else path.suffix


def read_text_list(file: str, source: SourceSettings) -> Iterator[Row]:
    """Yield rows in the LISTED form.

    Raises ConfigError if none of the first rows has a url or a caption column.
    """
    records = read_records(file, source.columns, source.url_column)
    first = list(islice(records, LOOKED_AT))
    names = {name: None for record in first if isinstance(record, dict) for name in record}
    if names:
        check_columns(list(names), source, file)
    place = PurePosixPath(file).name
    for record in chain(first, records):
        if isinstance(record, Unreadable):
            yield problem_row(UNREADABLE, record)
        else:
            yield from_record(record, source, place)


def read_records(
    file: str, columns: Sequence[str] = (), url_column: str = ""
) -> Iterator[Row | Unreadable]:
    """Yield each row's columns by name, or what is wrong with it.

    `columns` names those of a CSV or TSV file without a line of names, and `url_column` the one
    by which a row is known. Raises ConfigError if the line of names is no text.
    """
    with opened(file) as lines:
        if suffix_of(file) == ".jsonl":
            yield from _json_records(lines)
        else:
            yield from Delimited(lines, DELIMITERS[suffix_of(file)], columns, url_column).records()
        if lines.damage is not None:  # nobody knows how many rows there were
            yield lines.damage


def _json_records(lines: Lines) -> Iterator[Row | Unreadable]:
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
