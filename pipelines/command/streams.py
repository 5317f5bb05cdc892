"""Standard streams that are closed, full, abandoned by their reader, or in a narrow encoding."""

import io
import os
import sys
from typing import Any, TextIO

NUMBERS = (0, 1, 2)


class OutputLost(Exception):
    """Standard output cannot be written to: its reader left, or its disk is full."""


class Output(io.FileIO):
    """Writes until that fails, raises OutputLost once or never, and drops what comes later.

    So the failure is not taken for one of other files and sockets, and flushing buffers at exit
    does not fail again.
    """

    def __init__(self, number: int, *, raises: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.raises = raises
        self.lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as error:
                self.lost = error
                if self.raises:
                    raise OutputLost(str(error)) from error
        return memoryview(data).nbytes


def prepare() -> Output:
    """Replace this program's standard streams; return its standard output.

    A closed one reads or writes nothing. Characters that the encoding lacks are escaped. Errors and
    logs that cannot be written are dropped, and the work goes on.
    """
    for number in NUMBERS:  # or the next opened file would get the number, and the output
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
