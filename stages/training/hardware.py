"""What a run's speed is judged by: peak FLOP/s of its device, and the share of the CPU it got."""

import re
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

# FLOP/s of dense bfloat16 products from the data sheets, by part of a GPU's name; first match wins
DATA_SHEETS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
}
THREADS = Path("/proc/self/task")
CLEARLY = 0.8  # of the cores wanted: less than this is worth a line
MATRIX_SIDES = {"cuda": 8_192, "cpu": 1_024}  # large enough that overheads do not count


class Peak(NamedTuple):
    """FLOP/s, and where the figure is from."""

    flops: float
    source: str

    def __str__(self) -> str:
        unit, name = (1e12, "TFLOP/s") if self.flops >= 1e12 else (1e9, "GFLOP/s")
        return f"{self.flops / unit:.3g} {name} ({self.source})"


@cache
def peak_of(device: torch.device, kind: torch.dtype) -> Peak:
    """Look a GPU up in its data sheet; measure any other device for a moment, once in a process."""
    if device.type == "cuda":
        part = data_sheet_of(torch.cuda.get_device_name(device))
        if part is not None:
            slower = 2 if kind == torch.float32 else 1  # of products in TF32, on all of these
            return Peak(DATA_SHEETS[part] / slower, "data sheet")
    return Peak(matrix_product(device, kind), "measured")


def data_sheet_of(name: str) -> str | None:
    """Return the key in DATA_SHEETS for a GPU of this name: an A1000 is no A100."""
    return next((part for part in DATA_SHEETS if re.search(rf"{part}(?!\d)", name)), None)


def matrix_product(
    device: torch.device, kind: torch.dtype, side: int | None = None, seconds: float = 0.2
) -> float:
    """Measure FLOP/s of the product of two square matrices."""
    side = side or MATRIX_SIDES.get(device.type, 1_024)
    one = torch.randn(side, side, device=device).to(kind)

    def multiply() -> None:
        one @ one
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    multiply()  # the first call prepares the kernel
    count, started = 0, time.perf_counter()
    while not count or time.perf_counter() - started < seconds:
        multiply()
        count += 1
    return count * 2 * side**3 / (time.perf_counter() - started)


class CpuShare(NamedTuple):
    """Cores, on average over some time."""

    used: float
    wanted: float

    @property
    def is_short(self) -> bool:
        return self.used < CLEARLY * self.wanted

    def __str__(self) -> str:
        return f"{self.used:.1f} of {self.wanted:.1f} cores wanted: other programs have the rest"


class CpuMeter:
    """Measures, from its creation on, how many cores this process got and how many it wanted.

    Linux counts for each thread how long it ran and how long it waited for a core.
    """

    def __init__(self) -> None:
        self.began, self.before = time.perf_counter(), thread_times()

    def share(self) -> CpuShare | None:
        """Return the average so far; None where the system does not count."""
        now, seconds = thread_times(), time.perf_counter() - self.began
        if not now or seconds <= 0:
            return None
        threads = [(now[name], self.before.get(name, (0, 0))) for name in now]
        ran, waited = (sum(max(0, n[i] - b[i]) for n, b in threads) / 1e9 for i in (0, 1))
        return CpuShare(ran / seconds, (ran + waited) / seconds)


def thread_times() -> dict[str, tuple[int, int]]:
    """Return the nanoseconds that each thread ran, and that it waited for a core."""
    found = {}
    for thread in THREADS.iterdir() if THREADS.is_dir() else ():
        try:
            ran, waited, _ = (thread / "schedstat").read_text().split()
        except (OSError, ValueError):  # it has ended, or the kernel does not count
            continue
        found[thread.name] = int(ran), int(waited)
    return found
