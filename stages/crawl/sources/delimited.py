"""CSV and TSV as they are found: stray quotes, broken rows, with and without a line of names.

A stray quote would swallow the rows behind it up to the next quote. So a row of several lines is
taken apart where one of the later lines is a whole row by itself, with a web address in its place.
Where tabs separate, quotes need not mean anything: where they do not work out, they are taken as
text.
"""

import csv
from collections.abc import Iterator, Sequence

from schemas.configs import SourceSettings
from schemas.errors import ConfigError
from stages.crawl.sources.listed import Row, distinct, printable
from stages.crawl.sources.names import URL, Wanted, renamed, tell
from stages.crawl.sources.separators import WEB, cells_of, find_columns
from stages.crawl.sources.text_lines import MAX_ROW_CHARS, Endless, Lines, Unreadable, not_in


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
        self.reader = csv.reader(lines, delimiter=self.delimiter, strict=self.quotes_are_text)
        found = distinct(list(source.columns) or self._line_of_names())
        ours = renamed(found, source, lines.name, wanted, self.delimiter) if found else {}
        tell(ours, lines.name)
        self.names = [ours.get(name, name) for name in found]
        url = source.url_column if URL in wanted else None
        self.url_at = self.names.index(url) if url in self.names else None

    def _line_of_names(self) -> list[str]:
        try:
            names = [name.strip(' "') for name in next(self.reader, [])]
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
            except (csv.Error, Endless) as error:
                values, why = [], str(error)
                self.lines.give_back()
            if not any(values) and not why:
                continue  # an empty line, or one of empty cells
            if why and self.quotes_are_text and (alone := self._alone(self.lines.row[0])):
                self.lines.give_back()
                values, why = alone, ""
            yield self.lines.unreadable(why) if why else dict(zip(self.names, values, strict=True))

    def _trimmed(self, values: list[str]) -> list[str]:
        """Leave out empty cells behind the last column."""
        while len(values) > len(self.names) and not values[-1]:
            values.pop()
        return values

    def _fault(self, values: list[str]) -> str:
        """Say what is wrong with a row, or nothing."""
        if len(self.lines.row) > 1 and any(map(self._is_row, self.lines.row[1:])):
            self.lines.give_back()
            return "a quote that is never closed"
        if values and len(values) != len(self.names):
            return f"{len(values)} columns, not {len(self.names)}"
        return ""

    def _is_row(self, line: str) -> bool:
        if self.url_at is None or self.delimiter not in line:
            return False
        values = cells_of(line, self.delimiter)
        return len(values) == len(self.names) and values[self.url_at].startswith(WEB)

    def _alone(self, line: str) -> list[str] | None:
        """Return the line's columns with quotes as text, or None if their number is wrong."""
        values = line.rstrip("\r\n").split(self.delimiter)
        return values if len(values) == len(self.names) else None
