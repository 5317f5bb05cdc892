"""How a command begins and ends: its streams, its log, a line of what it did or what went wrong."""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress

from rich.markup import escape

from pipelines.stopping import stoppable
from pipelines.streams import OutputLost, prepare
from schemas.errors import UserError

READER_LEFT = 141  # what a shell calls a command that wrote to `| head` when that had left
JOINERS = "\u200c\u200d"  # write Persian, Hindi and families of emoji; no terminal obeys them


def program(main: Callable[[], int]) -> int:
    """Call a command's `main`; return the exit code.

    That is main's own also where its output was lost, unless all had been well so far: then it is
    READER_LEFT without a word, or 2 for a disk that is full.
    """
    out = prepare()
    code = 0
    try:
        with suppress(OutputLost):
            code = _code(main)
            sys.stdout.flush()
    finally:
        with suppress(OutputLost):
            sys.stdout.flush()  # what is left would be written, and fail, as Python ends
    if out.lost is None or isinstance(out.lost, BrokenPipeError):
        return code or (READER_LEFT if out.lost else 0)
    complain(f"wanted to write to standard output, found {out.lost}; make room there")
    return code or 2


def _code(main: Callable[[], int]) -> int:
    try:
        return stoppable(main)
    except SystemExit as left:  # how argparse ends, which has said why
        return left.code if isinstance(left.code, int) else 0


def outcome(work: Callable[[], str], target: str) -> int:
    """Do the work and print what it says, or why it or writing to `target` failed.

    Returns the exit code.
    """
    try:
        said = work()
    except UserError as error:
        complain(error)
        return 2
    except OSError as error:
        complain(f"wanted to write to {target}, found {error}; give another folder")
        return 2
    print(said)
    return 0


def complain(error: object) -> None:
    """Print a sentence about what cannot go on."""
    print(f"error: {printable(str(error))}", file=sys.stderr)


def printable(text: str) -> str:
    """Return the text with what a terminal might obey, or hide, as escapes."""
    return "".join(
        letter if letter.isprintable() or letter in JOINERS else _escaped(letter) for letter in text
    )


def shown(text: str) -> str:
    """Return the text for rich to print: nothing in it is markup, or commands the terminal."""
    return escape(printable(text))


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


class Lines(logging.Formatter):
    """Log lines in which a file's name or a caption cannot command the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, or as many as a traceback has."""
        return "\n".join(map(printable, super().format(record).split("\n")))


def log_to_errors(form: str = "%(asctime)s %(message)s") -> None:
    """Write this program's log to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(form, datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
