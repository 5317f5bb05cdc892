"""Read lines of a text file of any length, with a limit on the size of one row.

Lines end with LF, CR or both. Bytes that are no text in the file's encoding pass as lone
surrogates, which `listed_row` finds.
"""

import codecs
import io
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from schemas.settings import SourceSettings
from stages.crawl.sources.content import DAMAGE, plain_bytes
from stages.crawl.sources.listed import DAMAGED, SHOWN, Unreadable, printable

MAX_ROW_CHARS = 1_000_000
MAX_ROW_LINES = 1_000  # an unclosed quote would otherwise swallow the rest of the file
MARKS = (  # the longer first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Which of the first four bytes are NUL where the first characters are of ASCII: certain, because
# no other text has NULs.
NULS: dict[tuple[bool, ...], str] = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
}
NO_TEXT = "crawl.no-text"  # our handler of what cannot be decoded


class Endless(Exception):
    """A row that goes on for too long, or beyond the end of the file."""


def encoding_of(head: bytes, encoding: str) -> str:
    """Return the encoding that a file's first bytes show, or else the one that was set."""
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    return NULS.get(tuple(byte == 0 for byte in head[:4]), encoding)


def decoded(data: bytes, encoding: str) -> str:
    """Return the text of a small file, without its byte order mark.

    Raises ValueError with a sentence that names the setting if it is no such text.
    """
    encoding = encoding_of(data, encoding)
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(not_in(encoding)) from error


def not_in(encoding: str) -> str:
    """Say that something is no text in this encoding, and what to do."""
    return f"not {encoding.upper()}; crawl.source.encoding can name another"


@contextmanager
def opened(file: str, source: SourceSettings) -> Iterator["Lines"]:
    """Open a text file, packed or plain, on any store; raise ConfigError if it is none."""
    codecs.register_error(NO_TEXT, _as_surrogates)
    with plain_bytes(file, "text") as data:
        try:
            encoding = encoding_of(data.peek(4)[:4], source.encoding)
        except DAMAGE:
            encoding = source.encoding
        text = io.TextIOWrapper(data, encoding=encoding, errors=NO_TEXT, newline="")
        yield Lines(text, file.rpartition("/")[2])
        text.detach()  # else it closes what is closed already


def _as_surrogates(error: UnicodeError) -> tuple[str, int]:
    """Put a lone surrogate for each byte that cannot be decoded, also for those below 128."""
    assert isinstance(error, UnicodeDecodeError), "we only read"
    broken = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in broken), error.end


class Lines(Iterator[str]):
    """Yields lines and remembers those of the row under way, for a second look.

    Raises Endless where a row takes too much, or has begun and the file ends.
    """

    def __init__(self, text: TextIO, name: str) -> None:
        self.text, self.name = text, name
        self.again: deque[str] = deque()
        self.row: list[str] = []
        self.number = 0  # lines before the row
        self.chars = self.taken = 0
        self.damage: Unreadable | None = None

    def begin(self) -> None:
        """Forget the row that was read; the next line is the first of another."""
        self.number += len(self.row)
        self.row, self.chars = [], 0

    def give_back(self) -> None:
        """Let all lines of the row but the first be read again."""
        self.again.extendleft(reversed(self.row[1:]))
        del self.row[1:]

    def peek(self, number: int) -> Sequence[str]:
        """Return the next lines, at most so many, which are still to be read."""
        while len(self.again) < number and (line := self._read()):
            self.again.append(line)
        return list(self.again)[:number]

    def skip(self, number: int) -> None:
        """Pass over lines that `peek` has shown."""
        for _ in range(number):
            self.again.popleft()
        self.number += number

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
        """Return the next line, cut where it is too long; note where a packed file is damaged."""
        if self.damage is not None:
            return ""
        try:
            line = self.text.readline(MAX_ROW_CHARS)
            rest = line
            while len(rest) == MAX_ROW_CHARS and not rest.endswith(("\n", "\r")):
                rest = self.text.readline(MAX_ROW_CHARS)
        except DAMAGE as error:
            self.damage = Unreadable(f"{DAMAGED}{self.name}, all after line {self.taken}: {error}")
            return ""
        self.taken += bool(line)
        return line if self.taken > 1 else line.removeprefix("\ufeff")
