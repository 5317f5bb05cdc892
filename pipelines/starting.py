"""Signals while a command imports its modules, before pipelines/command/stopping.py takes over.

Imports nothing large: a signal may come with the first module that is.
"""

import os
import signal
from types import FrameType
from typing import Never

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


def end_on_signals() -> None:
    """Let a signal end the program in one line: nothing has begun."""
    for number in NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> Never:
    os.write(2, f"stopped by {NAMES[signal.Signals(number)]}\n".encode())
    os._exit(128 + number)
