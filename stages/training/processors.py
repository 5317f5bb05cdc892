"""Is the machine busy with other work? What this process got of the processors, and what it wanted.

Linux counts for each thread how long it computed, and how long it could have but another had the
processor. Elsewhere nothing is known, and nothing said.
"""

import time
from pathlib import Path
from typing import NamedTuple

THREADS = Path("/proc/self/task")
CLEARLY = 0.8  # of what was wanted: less than this is worth a line


class Share(NamedTuple):
    """Processors, on average over some time."""

    got: float
    wanted: float

    @property
    def is_short(self) -> bool:
        """Say whether clearly less was given than wanted."""
        return self.got < CLEARLY * self.wanted

    def words(self) -> str:
        """Say who has the rest."""
        return f"{self.got:.1f} of {self.wanted:.1f} cores wanted: other programs have the rest"


class Processors:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self.began, self.before = time.perf_counter(), nanoseconds()

    def share(self) -> Share | None:
        """Return what this process got and wanted since then; None where nobody knows."""
        now, seconds = nanoseconds(), time.perf_counter() - self.began
        if not now or seconds <= 0:
            return None
        threads = [(now[name], self.before.get(name, (0, 0))) for name in now]
        ran, waited = (sum(max(0, n[i] - b[i]) for n, b in threads) / 1e9 for i in (0, 1))
        return Share(ran / seconds, (ran + waited) / seconds)


def nanoseconds() -> dict[str, tuple[int, int]]:
    """Return how long each thread ran, and how long it waited for a processor."""
    found = {}
    for thread in THREADS.iterdir() if THREADS.is_dir() else ():
        try:
            ran, waited, _ = (thread / "schedstat").read_text().split()
        except (OSError, ValueError):  # it has ended, or the kernel does not count
            continue
        found[thread.name] = int(ran), int(waited)
    return found
