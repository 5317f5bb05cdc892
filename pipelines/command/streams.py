"""Standard input, output and errors as commands meet them: closed, full, left, of few letters."""

import io
import os
import sys
from typing import Any, TextIO

NUMBERS = (0, 1, 2)


class OutputLost(Exception):
    """Standard output takes no more: who read it left, or its disk is full."""


class Output(io.FileIO):
    """Writes until that fails, which is raised once or not at all; what comes later is dropped.

    So a failure is told from those of other files and sockets, and ending the program, which
    writes what is left in buffers, does not fail again.
    """

    def __init__(self, number: int, *, raises: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.raises = raises
        self.lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write, or count as written."""
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as error:
                self.lost = error
                if self.raises:
                    raise OutputLost(str(error)) from error
        return memoryview(data).nbytes


def prepare() -> Output:
    """Put this program's streams in order; return its standard output.

    One that is closed reads or writes nothing. Letters that the encoding does not have are written
    as escapes. Of errors and logs, what cannot be written is dropped, for the work goes on.
    """
    for number in NUMBERS:  # or the next file that is opened would take the number, and the prints
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  as long as the program
    out, errors = Output(1, raises=True), Output(2, raises=False)
    sys.stdout, sys.stderr = _text(out, sys.stdout), _text(errors, sys.stderr, by_line=True)
    return out


def _text(raw: Output, like: TextIO | None, *, by_line: bool = False) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(like, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=by_line or raw.isatty(),
        write_through=getattr(like, "write_through", False),
    )
