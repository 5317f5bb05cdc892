"""How a command is stopped: Ctrl-C, a batch system's SIGTERM and a terminal's SIGHUP, in one line.

The first signal ends what runs in order, so that nothing is left behind; the second leaves at once.
A signal may reach Ray's processes too, and asking those for anything takes a minute then: what is
not in order after a while is left.
"""

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
GRACE_SECONDS = 25.0  # batch systems kill after 30


class Stopped(KeyboardInterrupt):
    """Somebody asked this command to end. Ray turns it into a plain KeyboardInterrupt at times."""


class _Now:
    """What the command does, and which signal came when."""

    during = ""
    number = int(signal.SIGINT)
    since: float | None = None


def stoppable(main: Callable[[], int]) -> int:
    """Call a command's `main` and return the exit code: 128 and the signal's number if stopped."""
    with _handled(), _guarded():
        try:
            return main()
        except KeyboardInterrupt:
            _say()
            return _code(_Now.number)


@contextmanager
def during(what: str) -> Iterator[None]:
    """Say what runs in the block, for the line about a signal that ends it."""
    _Now.during = what
    yield
    _Now.during = ""


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


@contextmanager
def _guarded() -> Iterator[None]:
    """Leave, with the line and the code, when cleaning up takes too long.

    The thread is there beforehand: a handler must not wait for a lock.
    """
    ended = threading.Event()

    def guard() -> None:
        while not ended.wait(0.5):
            if _Now.since is not None and time.monotonic() - _Now.since > GRACE_SECONDS:
                _say()
                _leave(_Now.number, None)

    threading.Thread(target=guard, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        _Now.since = None


def stopped_that_alone(error: KeyboardInterrupt) -> None:
    """Let the next Ctrl-C be a first one again, for the command goes on; raise other signals."""
    if _Now.number != signal.SIGINT:
        raise error
    _Now.since = None
    for number in NAMES:
        if signal.getsignal(number) is _leave:
            signal.signal(number, _stop)


def _stop(number: int, _: FrameType | None) -> Never:
    _Now.number, _Now.since = number, time.monotonic()
    for each in NAMES:
        if signal.getsignal(each) is _stop:
            signal.signal(each, _leave)
    raise Stopped


def _leave(number: int, _: FrameType | None) -> Never:
    os._exit(_code(number))


def _code(number: int) -> int:
    return 128 + number


def _say() -> None:
    line = f"stopped by {NAMES[signal.Signals(_Now.number)]}"
    if _Now.during:
        line += (
            f" in {_Now.during}; what is finished is kept, and the same command goes on: "
            f"{shlex.join(sys.argv)}"
        )
    print(line, file=sys.stderr, flush=True)
