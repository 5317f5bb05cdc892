"""How many threads torch computes on, and how they wait for each other on a CPU.

The threads of one step meet hundreds of times. If they spin while they wait, a step of the demo's
dVAE takes 0.6 of the time; but beside other programs, a thread that spins holds up the very one it
waits for. libgomp, on which torch computes under Linux, spins GOMP_SPINCOUNT times
(infra/session.py), and hardly at all in a process that has more threads than there are cores (its
manual, GOMP_SPINCOUNT).
So while other programs need the cores, a team of threads that do nothing makes them too many.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

SECONDS = 2.0  # between two looks at the machine
ROOM = 0.5  # cores that other programs may use beside all of our threads

_JOB = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NOTHING = _JOB(lambda _: None)
_watch: "LoadWatch | None" = None


def use_threads(threads: int) -> None:
    """Compute on this many threads, which sleep while they wait if other programs are busy."""
    global _watch
    torch.set_num_threads(threads)
    if threads > 1 and _watch is None and (libgomp := _libgomp()) is not None:
        _watch = LoadWatch(threads, libgomp)
        _watch.start()


def on_every_thread(job: Callable[[], object]) -> None:
    """Run `job` on the calling thread and on each of those with which torch computes for it.

    A thread takes over the floating-point modes of its maker when it begins, and later changes
    reach the thread that makes them alone.
    """
    libgomp = _libgomp()
    if libgomp is None:
        job()
        return

    def on_one_thread(_: int | None) -> None:
        job()

    libgomp.GOMP_parallel(_JOB(on_one_thread), None, torch.get_num_threads(), 0)


class LoadWatch(threading.Thread):
    """Holds a team of idle threads while other programs need the cores."""

    def __init__(self, threads: int, libgomp: ctypes.CDLL) -> None:
        super().__init__(name="load watch", daemon=True)
        self.threads, self.libgomp = threads, libgomp

    def run(self) -> None:
        cores, team = os.cpu_count() or 1, None
        while True:
            busy = cores_of_others(SECONDS) + self.threads > cores + ROOM
            if busy and team is None:
                team = IdleTeam(cores + 1, self.libgomp)
                team.start()
            elif team is not None and not busy:
                team.ended.set()
                team = None


class IdleTeam(threading.Thread):
    """A team of OpenMP threads that sleep until `ended` is set."""

    def __init__(self, size: int, libgomp: ctypes.CDLL) -> None:
        super().__init__(name="idle team", daemon=True)
        self.size, self.libgomp, self.ended = size, libgomp, threading.Event()

    def run(self) -> None:
        self.libgomp.GOMP_parallel(_NOTHING, None, self.size, 0)
        self.ended.wait()  # libgomp keeps the team as long as the thread that formed it lives


def cores_of_others(seconds: float) -> float:
    """Return how many cores other processes use on average in the next seconds."""
    busy, own, began = _busy_seconds(), time.process_time(), time.perf_counter()
    time.sleep(seconds)
    used = _busy_seconds() - busy - (time.process_time() - own)
    return used / (time.perf_counter() - began)


def _busy_seconds() -> float:
    """Return the seconds that all cores together were in use since the machine started."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle, waiting_for_disks = ticks[3:5]
    return (sum(ticks[:8]) - idle - waiting_for_disks) / os.sysconf("SC_CLK_TCK")


def _libgomp() -> ctypes.CDLL | None:
    """Return the library that torch computes with; None where that is another one.

    A process may have a second one with threads of its own: a compiled model loads the system's.
    """
    maps, own = Path("/proc/self/maps"), Path(torch.__file__).parent
    lines = maps.read_text().splitlines() if maps.exists() else []
    paths = dict.fromkeys(line.split(maxsplit=5)[5] for line in lines if "libgomp" in line)
    best = sorted(paths, key=lambda path: own not in Path(path).parents)
    return ctypes.CDLL(best[0]) if best else None
