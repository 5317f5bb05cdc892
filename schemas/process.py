"""A process of some machine, as others know it: is it still at work?

A number alone says little: numbers are used again, containers count from 1 each, and machines have
equal names. So a process is known by its machine's run since it was switched on, the container it
counts in, its number, and the kernel's word for when it began.
"""

import os
import platform
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import Self

from schemas.manifest import Record

BOOT = Path("/proc/sys/kernel/random/boot_id")
CONTAINER = "/proc/self/ns/pid"
ENDED = {"Z", "X"}  # states of a process that has ended, and nobody has asked how
GONE = "gone"


class Process(Record):
    """Where a process is, and when it began: a later one may have the same number."""

    host: str
    pid: int
    started: str
    machine: str = ""  # of which nothing is known where this is another one

    @classmethod
    def here(cls, **more: object) -> Self:
        """Name the process that asks."""
        pid = os.getpid()
        found = {
            "host": socket.gethostname(),
            "pid": pid,
            "started": started(pid) or "",
            "machine": this_machine(),
        }
        return cls.model_validate(found | more)

    @property
    def is_of_this_machine(self) -> bool:
        """Say whether anything can be known of it here."""
        return self.machine == this_machine()

    @property
    def is_gone(self) -> bool:
        """Say whether it is known to have ended; of another machine's processes nothing is."""
        return self.is_of_this_machine and started(self.pid) not in (self.started, None)

    @property
    def is_at_work(self) -> bool:
        """Say whether it is known to run; other users' processes may be hidden."""
        return self.is_of_this_machine and started(self.pid) == self.started


@cache
def this_machine() -> str:
    """Name this run of this machine's kernel, and the container whose processes can be seen.

    Where the kernel has no word for that (macOS), the machine's name must do.
    """
    try:
        return f"{BOOT.read_text().strip()} {os.readlink(CONTAINER)}"
    except OSError:
        return f"{socket.gethostname()} {platform.system()}"


def started(pid: int) -> str | None:
    """Return the kernel's word for when a process began, GONE if there is none, None if hidden."""
    return _by_proc(pid) if Path("/proc/self/stat").exists() else _by_ps(pid)


def _by_proc(pid: int) -> str | None:
    """Read ticks since the machine was switched on, which no change of the clock moves."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # not there, or of another user and hidden
        return _unseen(pid)
    fields = stat.rpartition(")")[2].split()  # from field 3 of proc(5); the name may hold spaces
    return GONE if fields[0] in ENDED else fields[19]


def _unseen(pid: int) -> str | None:
    """Return GONE if there is no such process, None if it is hidden."""
    try:
        os.kill(pid, 0)  # which only asks
    except ProcessLookupError:
        return GONE
    except PermissionError:
        return None
    return None


def _by_ps(pid: int) -> str | None:
    """Ask ps, as macOS and the BSDs have it: the second in which the process began."""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    words = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", os.defpath)}
    try:
        said = subprocess.run(command, capture_output=True, text=True, env=words).stdout.split()
    except OSError:
        return None
    if not said:
        return _unseen(pid)
    return GONE if said[0][:1] in ENDED else " ".join(said[1:])
