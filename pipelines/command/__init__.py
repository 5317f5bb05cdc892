"""How a command begins and ends: its arguments, streams and log, its exit code and its one error.

A command is a file here, or a folder with `__main__.py`: `python -m pipelines.<name>` runs it.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps

from rich.markup import escape

from pipelines.command.stopping import stoppable
from pipelines.command.streams import OutputLost, prepare
from schemas.errors import ConfigError, UserError

READER_LEFT = 141  # what a shell calls a command that wrote to `| head` when that had left
JOINERS = "\u200c\u200d"  # write Persian, Hindi and families of emoji; no terminal obeys them


def arguments(name: str, doc: str) -> argparse.ArgumentParser:
    """Return the parser of `python -m pipelines.<name>`, whose help begins with `doc`."""
    return argparse.ArgumentParser(
        prog=f"python -m pipelines.{name}",
        description=doc.strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def command(
    parser: Callable[[], argparse.ArgumentParser],
) -> Callable[[Callable[[argparse.Namespace], int | None]], Callable[..., int]]:
    """Make a command's `main(argv)` of a function that takes the parsed arguments.

    The exit code is what the function returns (None: 0), or 2 after a UserError, which is printed.
    """

    def decorate(work: Callable[[argparse.Namespace], int | None]) -> Callable[..., int]:
        @wraps(work)
        def main(argv: Sequence[str] | None = None) -> int:
            args = parser().parse_args(argv)
            try:
                return work(args) or 0
            except UserError as error:
                complain(getattr(error, "cause", error))  # Ray hands it on inside one of its own
                return 2

        return main

    return decorate


def program(main: Callable[[], int]) -> int:
    """Call a command's `main` with its streams and signals in order; return the exit code.

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
    except SystemExit as left:  # argparse ends so after its own message
        return left.code if isinstance(left.code, int) else 0


@contextmanager
def writing_to(target: object) -> Iterator[None]:
    """Turn an OSError in the block into a ConfigError about the target that could not be written.

    For blocks that read artifacts only through folders, whose errors are sentences already.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"wanted to write to {target}, found {error}; give another place"
        ) from error


def complain(error: object) -> None:
    print(f"error: {printable(str(error))}", file=sys.stderr)


def printable(text: str) -> str:
    """Escape what a terminal might obey or hide."""
    return "".join(
        letter
        if letter.isprintable() or letter in JOINERS
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


def shown(text: str) -> str:
    """Escape a text for rich to print: nothing in it is markup, or commands the terminal."""
    return escape(printable(text))


class EscapingFormatter(logging.Formatter):
    """Formats log lines so that a file's name or a caption cannot command the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def log_to_errors(form: str = "%(asctime)s %(message)s") -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(EscapingFormatter(form, datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
