"""A process of some machine, as others know it: is it still at work?"""

import os
import socket
from pathlib import Path
from typing import Self

from schemas.manifest import Record


class Process(Record):
    """Where a process is, and when it began: a later one may have the same number."""

    host: str
    pid: int
    started: str

    @classmethod
    def here(cls, **more: object) -> Self:
        """Name the process that asks."""
        pid = os.getpid()
        found = {"host": socket.gethostname(), "pid": pid, "started": _start_time(pid) or ""}
        return cls.model_validate(found | more)

    @property
    def is_of_this_machine(self) -> bool:
        """Say whether anything can be known of it here."""
        return self.host == socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Say whether it is known to have ended; of another machine's processes nothing is."""
        return self.is_of_this_machine and _start_time(self.pid) != self.started


def _start_time(pid: int) -> str | None:
    """Return the kernel's start time of a process, or None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None
    return stat.rpartition(")")[2].split()[19]  # field 22 of proc(5); the name may hold spaces
