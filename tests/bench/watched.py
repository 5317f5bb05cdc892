"""Run a command and know the CPU time of all its processes, Ray's included, and their memory."""

import os
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EVERY_SECONDS = 0.25
TICK = os.sysconf("SC_CLK_TCK")
QUIET = {"OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}


@dataclass(frozen=True)
class Watched:
    """What a command cost."""

    seconds: float
    cpu_seconds: float  # of every process that inherits a mark in its environment
    peak_bytes: int  # of the command's own process
    peak_worker_bytes: int  # of the largest other process


@contextmanager
def started(command: Sequence[str], **extra: str) -> Iterator[subprocess.Popen]:
    """Run a command in the background from the repository's root while the block runs."""
    environment = os.environ | QUIET | extra
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0  # a process that has ended has no memory


class _Look(threading.Thread):
    """Looks at all marked processes until it is told to stop."""

    def __init__(self, mark: bytes) -> None:
        super().__init__(daemon=True)
        self.mark, self.stop = mark, threading.Event()
        self.cpu: dict[int, float] = {}
        self.peak: dict[int, int] = {}

    def run(self) -> None:
        while not self.stop.wait(EVERY_SECONDS):
            for process in Path("/proc").glob("[0-9]*"):
                pid = int(process.name)
                try:
                    if pid in self.cpu or self.mark in (process / "environ").read_bytes():
                        self.cpu[pid] = max(cpu_seconds(pid), self.cpu.get(pid, 0.0))
                        self.peak[pid] = max(peak_bytes(pid), self.peak.get(pid, 0))
                except (FileNotFoundError, ProcessLookupError, PermissionError):
                    continue  # it ended meanwhile


def watch(command: Sequence[str]) -> Watched:
    """Run the command to its end; fail with what it said unless that is good."""
    mark = uuid.uuid4().hex
    look, began = _Look(mark.encode()), time.monotonic()
    look.start()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | QUIET | {"BENCH_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.monotonic() - began
    look.stop.set()
    look.join()
    if done.returncode != 0:
        raise RuntimeError(done.stdout[-4000:])
    first = min(look.cpu)  # started before all that it starts
    others = (size for pid, size in look.peak.items() if pid != first)
    return Watched(seconds, sum(look.cpu.values()), look.peak[first], max(others, default=0))
