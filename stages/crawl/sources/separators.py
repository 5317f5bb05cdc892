"""What separates the columns of a CSV or TSV file, and where its line of names is.

Names are the evidence: of the first lines, that one is the line of names in which some separator
shows the wanted columns. What captions hold, commas or numbers, does not matter then. Where the
settings name the columns, the rows' lengths are the evidence.
"""

import csv
import logging
import re
from collections.abc import Iterable, Iterator, Sequence

from schemas.settings import SourceSettings
from stages.crawl.sources.names import Wanted
from stages.crawl.sources.text_lines import Lines

LOG = logging.getLogger(__name__)
SEPARATORS = (",", ";", "\t", "|")
LINES = 50  # looked at
EXCEL = re.compile(r'"?sep=([^\r\n])"?[\r\n]*', re.IGNORECASE)  # its own first line
NOTHING = ' \t\r\n,;|"'  # in a line that says nothing, as spreadsheets write empty rows
WEB = ("http://", "https://")


def reader_of(lines: Iterable[str], separator: str, *, strict: bool = False) -> Iterator[list[str]]:
    """Read rows; if `strict`, raise csv.Error where quotes do not work out."""
    blanks = separator != " "
    return csv.reader(lines, delimiter=separator, strict=strict, skipinitialspace=blanks)


def cells_of(line: str, separator: str) -> list[str]:
    """Return the cells of one line; none of what is no CSV."""
    try:
        return [cell.strip() for cell in next(reader_of([line], separator), [])]
    except csv.Error:
        return []


def find_columns(
    lines: Lines, source: SourceSettings, wanted: Sequence[Wanted], of_ending: str
) -> str:
    """Pass over what stands before the line of names, or the first row; return the separator."""
    shown = list(lines.ahead(LINES))
    usual = (of_ending, *(one for one in SEPARATORS if one != of_ending))
    said = EXCEL.fullmatch(shown[0]) if shown else None
    if said is not None:
        shown[0], usual = "", (said[1],)
    candidates = usual if source.separator is None else (source.separator,)
    if source.columns:
        first, separator = _first_row(shown), _by_rows(shown, candidates, source.columns)
    else:
        first, separator = _line_of_names(shown, candidates, wanted, source)
    if separator != of_ending and source.separator is None:
        LOG.info("crawl: %s: its columns are separated by %r", lines.name, separator)
    if any(line.strip() for line in shown[:first]):
        LOG.info("crawl: %s: the first %d lines are no rows", lines.name, first)
    lines.skip(first)
    return separator


def _line_of_names(
    shown: Sequence[str],
    candidates: Sequence[str],
    wanted: Sequence[Wanted],
    source: SourceSettings,
) -> tuple[int, str]:
    """Return the place of the line of names and the separator, as good as can be known."""
    first = _first_row(shown)
    order = sorted(range(len(shown)), key=lambda at: shown[at].startswith("#"))
    for usual in (False, True):
        # One word that is usual may as well be a caption.
        for at in order if len(wanted) > 1 or not usual else [first]:
            for separator in candidates:
                cells = cells_of(shown[at], separator) if at < len(shown) else []
                if all(column.among(cells, source, usual=usual) for column in wanted):
                    return at, separator
    lengths = [len(cells_of(shown[first], one)) if shown[first:] else 0 for one in candidates]
    return first, candidates[lengths.index(max(lengths))]


def _first_row(shown: Sequence[str]) -> int:
    """Return the place of the first line that is neither empty nor a comment."""
    said = (at for at, line in enumerate(shown) if line.strip(NOTHING) and line[:1] != "#")
    return next(said, 0)


def _by_rows(shown: Sequence[str], candidates: Sequence[str], columns: Sequence[str]) -> str:
    """Return the separator that gives most rows the right number of columns, one of them a url."""

    def rows(separator: str) -> tuple[int, int]:
        found = [cells_of(line, separator) for line in shown]
        whole = [cells for cells in found if len(cells) == len(columns)]
        return sum(any(cell.startswith(WEB) for cell in cells) for cells in whole), len(whole)

    return max(candidates, key=rows)  # the first of equals
