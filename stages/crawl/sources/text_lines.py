"""Lines of a text file of any length, with an end to what one row may take of them.

Bytes that are no UTF-8 pass as lone surrogates, which `listed_row` finds.
"""

import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import fsspec

from stages.crawl.sources.listed import SHOWN, printable

MAX_ROW_CHARS = 1_000_000
MAX_ROW_LINES = 1_000  # an unclosed quote would otherwise swallow the rest of the file


class Unreadable(str):
    """Where a row is, what is wrong with it, and some of its text."""


class Endless(Exception):
    """A row that goes on for too long, or beyond the end of the file."""


@contextmanager
def opened(file: str) -> Iterator["Lines"]:
    """Open a text file, gzip or plain, on any store."""
    with fsspec.open(
        file, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="", compression="infer"
    ) as text:
        yield Lines(text, file.rpartition("/")[2])


class Lines(Iterator[str]):
    """Yields lines and remembers those of the row under way, for a second look.

    Raises Endless where a row takes too much, or has begun and the file ends.
    """

    def __init__(self, text: TextIO, name: str) -> None:
        self.text, self.name = text, name
        self.again: deque[str] = deque()
        self.row: list[str] = []
        self.number = 0  # lines before the row
        self.chars = 0
        self.damage: Unreadable | None = None

    def begin(self) -> None:
        """Forget the row that was read; the next line is the first of another."""
        self.number += len(self.row)
        self.row, self.chars = [], 0

    def give_back(self) -> None:
        """Let all lines of the row but the first be read again."""
        self.again.extendleft(reversed(self.row[1:]))
        del self.row[1:]

    def unreadable(self, why: str) -> Unreadable:
        """Say what is wrong with the row under way."""
        text = "".join(self.row)[:SHOWN].strip()
        return Unreadable(f"{self.name}, line {self.number + 1}: {why}: {printable(text)}")

    def __next__(self) -> str:
        if len(self.row) >= MAX_ROW_LINES or self.chars >= MAX_ROW_CHARS:
            raise Endless(f"a row of more than {MAX_ROW_LINES} lines or {MAX_ROW_CHARS} characters")
        line = self.again.popleft() if self.again else self._read()
        if not line:
            if self.row:
                raise Endless("a quote that is never closed")
            raise StopIteration
        self.row.append(line)
        self.chars += len(line)
        if len(line) >= MAX_ROW_CHARS:
            raise Endless(f"a line of more than {MAX_ROW_CHARS} characters")
        return line

    def _read(self) -> str:
        """Return the next line, cut where it is too long; note where a gzip file is damaged."""
        try:
            line = self.text.readline(MAX_ROW_CHARS)
            rest = line
            while len(rest) == MAX_ROW_CHARS and not rest.endswith(("\n", "\r")):
                rest = self.text.readline(MAX_ROW_CHARS)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            after = self.number + len(self.row)
            self.damage = Unreadable(f"{self.name}, all after line {after}: {error}")
            return ""
        return line
