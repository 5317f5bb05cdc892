"""Stop a command on Ctrl-C, a batch system's SIGTERM or a terminal's SIGHUP, with one line.

The first signal cleans up before the exit; a second one exits at once. The signal may have reached
Ray's processes too, whose answers then take a minute: cleaning up ends after GRACE_SECONDS.
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

from pipelines.starting import NAMES

GRACE_SECONDS = 25.0  # batch systems kill after 30


class Stopped(KeyboardInterrupt):
    """The command was asked to end. Ray sometimes turns it into a plain KeyboardInterrupt."""


class _Now:
    """What the command is doing, and which signal came when."""

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
            return 128 + _Now.number


@contextmanager
def during(what: str) -> Iterator[None]:
    """Name what runs in the block, for the line that is printed if a signal ends it."""
    _Now.during = what
    yield
    _Now.during = ""


@contextmanager
def _handled() -> Iterator[None]:
    """Handle the signals while the block runs, except those that nohup or a shell ignores."""
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
    """Exit, with the line and the code, when cleaning up takes too long.

    The thread is started beforehand because a signal handler must not wait for a lock.
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
    """Make the next Ctrl-C a first one again, as the command goes on; raise other signals."""
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
    os._exit(128 + number)


def _say() -> None:
    line = f"stopped by {NAMES[signal.Signals(_Now.number)]}"
    if _Now.during:
        line += (
            f" in {_Now.during}; finished work is kept, and the same command resumes: "
            f"{shlex.join(sys.argv)}"
        )
    print(line, file=sys.stderr, flush=True)
