"""What the benches for a GPU share: a table kept as it grows, time and memory of a device."""

import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch


def heading(device: torch.device) -> str:
    """Say when and on what is measured."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{date.today()}  {name}  torch {torch.__version__}  CUDA {torch.version.cuda}"


class Table:
    """Lines that are printed, and kept in $OUT as they come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Say one more line."""
        print(line, flush=True)
        self.lines.append(line)
        if folder := os.environ.get("OUT"):
            (Path(folder) / f"{self.name}.txt").write_text("\n".join(self.lines) + "\n")


def fits(measure: Callable[[], str]) -> str:
    """Return what was measured, or that it takes more memory than there is."""
    try:
        return measure()
    except torch.OutOfMemoryError:
        return "out of memory"
    finally:
        torch.compiler.reset()
        torch.cuda.empty_cache()


def seconds(work: Callable[[], object], times: int, device: torch.device) -> float:
    """Return the mean time of one piece of work, all of it done."""
    work()  # warm: algorithms are chosen, memory is taken
    done(device)
    started = time.perf_counter()
    for _ in range(times):
        work()
    done(device)
    return (time.perf_counter() - started) / times


def done(device: torch.device) -> None:
    """Wait for all that was asked of the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def tensor_cores(on: bool) -> None:
    """Let GPUs shorten the factors of float32 products, or not; other devices stay as they are."""
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = on
        torch.backends.cudnn.allow_tf32 = on


def seconds_and_memory(
    work: Callable[[], object], times: int, device: torch.device
) -> tuple[float, float]:
    """Return the mean time of one piece of work, and the most memory that it took, in GiB."""
    if device.type != "cuda":
        return seconds(work, times, device), 0.0
    torch.cuda.reset_peak_memory_stats(device)
    took = seconds(work, times, device)
    return took, torch.cuda.max_memory_allocated(device) / 2**30
