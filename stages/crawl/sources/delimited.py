"""CSV and TSV as they are found: stray quotes, broken rows, with and without a line of names.

A stray quote would swallow the rows behind it up to the next quote. So a row of several lines is
taken apart where one of the later lines is a whole row by itself, with a web address in its place.
In a TSV file quotes need not mean anything: where they do not work out, they are taken as text.
"""

import csv
from collections.abc import Iterator, Sequence

from schemas.errors import ConfigError
from stages.crawl.sources.listed import Row, distinct, printable
from stages.crawl.sources.text_lines import MAX_ROW_CHARS, Endless, Lines, Unreadable

WEB = ("http://", "https://")


class Delimited:
    """Reads the rows of one file; `columns` are its names if the file has no line of them."""

    def __init__(
        self, lines: Lines, delimiter: str, columns: Sequence[str] = (), url_column: str = ""
    ) -> None:
        csv.field_size_limit(2 * MAX_ROW_CHARS)  # `Lines` stops earlier
        self.lines, self.delimiter = lines, delimiter
        self.quotes_are_text = delimiter == "\t"
        self.reader = csv.reader(lines, delimiter=delimiter, strict=self.quotes_are_text)
        self.names = distinct(list(columns) or self._line_of_names())
        self.url_at = self.names.index(url_column) if url_column in self.names else None

    def _line_of_names(self) -> list[str]:
        try:
            names = [name.strip() for name in next(self.reader, [])]
            "".join(names).encode()
        except (csv.Error, Endless, UnicodeEncodeError) as error:
            raise ConfigError(
                f"wanted the names of the columns in the first line of {self.lines.name}, but it "
                f"is no text: {printable(str(error))[:200]}; give the file such a line, or set "
                "crawl.source.columns"
            ) from error
        return names

    def records(self) -> Iterator[Row | Unreadable]:
        """Yield each row's columns by name, or what is wrong with it."""
        while True:
            self.lines.begin()
            try:
                values = next(self.reader)
                why = self._fault(values)
            except StopIteration:
                return
            except (csv.Error, Endless) as error:
                values, why = [], str(error)
                self.lines.give_back()
            if not values and not why:
                continue  # an empty line
            if why and self.quotes_are_text and (alone := self._alone(self.lines.row[0])):
                self.lines.give_back()
                values, why = alone, ""
            yield self.lines.unreadable(why) if why else dict(zip(self.names, values, strict=True))

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
        try:
            values = next(csv.reader([line], delimiter=self.delimiter), [])
        except csv.Error:
            return False
        return len(values) == len(self.names) and values[self.url_at].strip().startswith(WEB)

    def _alone(self, line: str) -> list[str] | None:
        """Return the line's columns with quotes as text, or None if their number is wrong."""
        values = line.rstrip("\r\n").split(self.delimiter)
        return values if len(values) == len(self.names) else None
