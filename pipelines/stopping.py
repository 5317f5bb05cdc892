"""How a command is stopped: Ctrl-C, a batch system's SIGTERM and a terminal's SIGHUP, in one line.

The first signal ends what runs in order, so that nothing is left behind; the second leaves at once.
"""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


class Stopped(KeyboardInterrupt):
    """Somebody asked this command to end; `during` is what ran then."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.during = ""


def stoppable(main: Callable[[], int]) -> int:
    """Call a command's `main` and return the exit code: 128 and the signal's number if stopped."""
    with _handled():
        try:
            return main()
        except KeyboardInterrupt as error:
            stopped = error if isinstance(error, Stopped) else Stopped(signal.SIGINT)
            print(_line(stopped), file=sys.stderr, flush=True)
            return _code(stopped.number)


@contextmanager
def _handled() -> Iterator[None]:
    """Take over the signals while the block runs, but for those that nohup or a shell ignores."""
    before = {number: signal.getsignal(number) for number in NAMES}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_that_alone(error: KeyboardInterrupt) -> None:
    """Let the next Ctrl-C be a first one again, for the command goes on; raise other signals."""
    if isinstance(error, Stopped) and error.number != signal.SIGINT:
        raise error
    for number in NAMES:
        if signal.getsignal(number) is _leave:
            signal.signal(number, _stop)


def _stop(number: int, _: FrameType | None) -> Never:
    for each in NAMES:
        if signal.getsignal(each) is _stop:
            signal.signal(each, _leave)
    raise Stopped(number)


def _leave(number: int, _: FrameType | None) -> Never:
    os._exit(_code(number))


def _code(number: int) -> int:
    return 128 + number


def _line(stopped: Stopped) -> str:
    how = NAMES[signal.Signals(stopped.number)]
    if not stopped.during:
        return f"stopped by {how}"
    return (
        f"stopped by {how} in {stopped.during}; what is finished is kept, and the same command "
        f"goes on: {shlex.join(sys.argv)}"
    )
