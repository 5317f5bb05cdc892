"""CSV and TSV as they are found: stray quotes, broken rows, with and without a line of names.

A stray quote would swallow the rows behind it up to the next quote. So a row of several lines is
taken apart where one of the later lines is a whole row by itself, with a web address in its place.
Where quotes do not work out, backslashes may escape them, as Spark and MySQL write them; or they
need not mean anything, and are taken as text where that leaves no doubt. Blanks before a quote are
no text.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources.listed import Row, distinct, printable
from stages.crawl.sources.names import URL, Wanted, renamed, tell
from stages.crawl.sources.separators import WEB, cells_of, find_columns, reader_of
from stages.crawl.sources.text_lines import MAX_ROW_CHARS, Endless, Lines, Unreadable, not_in

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
            raise self._no_names(not_in(self.lines.encoding)) from error
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
                values, why = [], self._said(error)
                self.lines.give_back()
            except Endless as error:
                values, why = [], str(error)
                self.lines.give_back()
            if not any(values) and not why:
                continue  # an empty line, or one of empty cells
            if why and (other := self._otherwise()):
                values, why = other, ""
            yield self.lines.unreadable(why) if why else dict(zip(self.names, values, strict=True))

    def _said(self, error: csv.Error) -> str:
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
    """Say whether a value may have meant its quotes, the first or both."""
    return value.startswith('"') and (value.endswith('"') or value.count('"') % 2 == 1)
