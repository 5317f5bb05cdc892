"""Read CSV and TSV as found: any separator, stray quotes, broken rows, with or without a header.

Names of columns are the evidence: of the first lines, that one is the line of names in which some
separator shows the wanted columns. What captions hold, commas or numbers, does not matter then.
Where the settings name the columns, the rows' lengths are the evidence.

A stray quote would swallow the rows behind it up to the next quote. So a row of several lines is
taken apart where one of the later lines is a whole row by itself, with a web address in its place.
Where quotes do not work out, backslashes may escape them, as Spark and MySQL write them; or they
need not mean anything, and are taken as text where that leaves no doubt. Blanks before a quote are
no text.
"""

import csv
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources.listed import WEB, Row, Unreadable, distinct, printable
from stages.crawl.sources.names import URL, Wanted, renamed, tell
from stages.crawl.sources.text_lines import MAX_ROW_CHARS, Endless, Lines, not_in

LOG = logging.getLogger(__name__)
SEPARATORS = (",", ";", "\t", "|")
LINES = 50  # looked at
EXCEL = re.compile(r'"?sep=([^\r\n])"?[\r\n]*', re.IGNORECASE)  # its own first line
NOTHING = ' \t\r\n,;|"'  # in a line that says nothing, as spreadsheets write empty rows


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
    shown = list(lines.peek(LINES))
    candidates = (of_ending, *(one for one in SEPARATORS if one != of_ending))
    if shown and (by_excel := EXCEL.fullmatch(shown[0])):
        shown[0], candidates = "", (by_excel[1],)
    if source.separator is not None:
        candidates = (source.separator,)
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
    for aliases in (False, True):
        # One word that is an alias may as well be a caption.
        for at in order if len(wanted) > 1 or not aliases else [first]:
            for separator in candidates:
                cells = cells_of(shown[at], separator) if at < len(shown) else []
                if all(column.among(cells, source, aliases=aliases) for column in wanted):
                    return at, separator
    lengths = [len(cells_of(shown[first], one)) if shown[first:] else 0 for one in candidates]
    return first, candidates[lengths.index(max(lengths))]


def _first_row(shown: Sequence[str]) -> int:
    """Return the place of the first line that is neither empty nor a comment."""
    rows = (at for at, line in enumerate(shown) if line.strip(NOTHING) and line[:1] != "#")
    return next(rows, 0)


def _by_rows(shown: Sequence[str], candidates: Sequence[str], columns: Sequence[str]) -> str:
    """Return the separator that gives most rows the right number of columns, one of them a url."""

    def rows(separator: str) -> tuple[int, int]:
        found = [cells_of(line, separator) for line in shown]
        whole = [cells for cells in found if len(cells) == len(columns)]
        return sum(any(cell.startswith(WEB) for cell in cells) for cells in whole), len(whole)

    return max(candidates, key=rows)  # the first of equals


ESCAPED = re.compile(r'\\(["\\])')
NOT_CLOSED = "a quote that is never closed"
TEXT_BEHIND = "text behind a closing quote (a quote inside is written twice)"


class Delimited:
    """Reads the rows of one file, with the wanted columns under the names that are set.

    Raises ConfigError if a wanted column is not there.
    """

    def __init__(
        self, lines: Lines, source: SourceSettings, wanted: Sequence[Wanted], of_ending: str
    ) -> None:
        csv.field_size_limit(2 * MAX_ROW_CHARS)  # `Lines` stops earlier
        self.lines, self.delimiter = lines, find_columns(lines, source, wanted, of_ending)
        self.quotes_are_text = self.delimiter == "\t"
        self.reader = reader_of(lines, self.delimiter, strict=True)
        between = re.escape(self.delimiter)
        self.blanks = re.compile(rf'((?:^|{between}) *""|[^"\\]") +(?=[\r\n]|{between}|$)')
        found = distinct(list(source.columns) or self._line_of_names())
        ours = renamed(found, source, lines.name, wanted, self.delimiter) if found else {}
        tell(ours, lines.name)
        self.names = [ours.get(name, name) for name in found]
        url = source.url_column if URL in wanted else None
        self.url_at = self.names.index(url) if url in self.names else None

    def _line_of_names(self) -> list[str]:
        try:
            line = next(reader_of(self.lines, self.delimiter), [])
            names = [name.strip(' "') for name in line]
            "".join(names).encode()
        except UnicodeEncodeError as error:
            raise self._no_names(not_in(self.lines.text.encoding)) from error
        except (csv.Error, Endless) as error:
            raise self._no_names(str(error)) from error
        while names and not names[-1]:
            names.pop()  # a separator at the end, as spreadsheets leave it
        return [name.lstrip("# ") if at == 0 else name for at, name in enumerate(names)]

    def _no_names(self, why: str) -> ConfigError:
        return ConfigError(
            f"wanted the names of the columns in the first line of {self.lines.name}, but it "
            f"is no text: {printable(why)[:200]}; give the file such a line, or set "
            "crawl.source.columns"
        )

    def records(self) -> Iterator[Row | Unreadable]:
        """Yield each row's columns by name, or what is wrong with it."""
        while True:
            self.lines.begin()
            try:
                values = self._trimmed(next(self.reader))
                why = self._fault(values)
            except StopIteration:
                return
            except csv.Error as error:
                values, why = [], self._reason(error)
                self.lines.give_back()
            except Endless as error:
                values, why = [], str(error)
                self.lines.give_back()
            if not any(values) and not why:
                continue  # an empty line, or one of empty cells
            if why and (other := self._otherwise()):
                values, why = other, ""
            yield self.lines.unreadable(why) if why else dict(zip(self.names, values, strict=True))

    def _reason(self, error: csv.Error) -> str:
        if "expected after" not in str(error):
            return str(error)
        return TEXT_BEHIND if len(self.lines.row) == 1 else NOT_CLOSED

    def _trimmed(self, values: list[str]) -> list[str]:
        """Leave out empty cells behind the last column."""
        while len(values) > len(self.names) and not values[-1]:
            values.pop()
        return values

    def _fault(self, values: list[str]) -> str:
        """Say what is wrong with a row, or nothing."""
        if len(self.lines.row) > 1 and any(map(self._is_row, self.lines.row[1:])):
            self.lines.give_back()
            return NOT_CLOSED
        if values and len(values) != len(self.names):
            return f"{len(values)} columns, not {len(self.names)}"
        return ""

    def _is_row(self, line: str) -> bool:
        if self.url_at is None or self.delimiter not in line:
            return False
        values = cells_of(line, self.delimiter)
        return len(values) == len(self.names) and values[self.url_at].startswith(WEB)

    def _otherwise(self) -> list[str] | None:
        """Read the row with backslashes, or with quotes as text; None if that does not work out."""
        self.lines.give_back()
        return self._mended() or self._alone(self.lines.row[0])

    def _mended(self) -> list[str] | None:
        """Return the columns of the row without backslashes before quotes, and blanks behind."""
        given = [*self.lines.row, *self.lines.again]
        if not any(self._plain(line) != line for line in given):
            return None
        lines = map(self._plain, chain(self.lines.row[:1], self.lines))
        try:
            values = self._trimmed(next(reader_of(lines, self.delimiter, strict=True)))
            if not self._fault(values):
                return values
        except (csv.Error, Endless):
            pass
        self.lines.give_back()
        return None

    def _plain(self, line: str) -> str:
        return ESCAPED.sub(_as_written_twice, self.blanks.sub(r"\1", line))

    def _alone(self, line: str) -> list[str] | None:
        """Return the line's columns with quotes as text, or None if that is in doubt."""
        values = line.rstrip("\r\n").split(self.delimiter)
        if len(values) != len(self.names):
            return None
        doubtful = not self.quotes_are_text and any(_is_quoted(value.strip()) for value in values)
        return None if doubtful else values


def _as_written_twice(escaped: re.Match[str]) -> str:
    return '""' if escaped[1] == '"' else escaped[1]


def _is_quoted(value: str) -> bool:
    """Return whether a value may have meant its quotes, the first or both."""
    return value.startswith('"') and (value.endswith('"') or value.count('"') % 2 == 1)
