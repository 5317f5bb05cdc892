"""Run a command; print its seconds and the peak of its processes' memory.

`python -m tests.bench.memory make demo`

Memory is PSS: what processes share is counted once. Every process that inherits a mark in its
environment counts, so Ray's do too.
"""

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

EVERY_SECONDS = 0.5


def pss_bytes(mark: bytes) -> int:
    """Add up the proportional set size of all processes that carry the mark."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark not in (process / "environ").read_bytes():
                continue
            for line in (process / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile
    return total


def main(argv: list[str]) -> int:
    """Run the command and watch; return its exit code."""
    mark = f"BENCH_MARK={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    started = time.monotonic()
    running = subprocess.Popen(argv, env=os.environ | {name: value})
    peak = 0
    while running.poll() is None:
        peak = max(peak, pss_bytes(mark.encode()))
        time.sleep(EVERY_SECONDS)
    seconds = time.monotonic() - started
    print(f"{seconds:,.1f} s, peak memory {peak / 2**30:.2f} GiB (sum of PSS)")
    return running.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
