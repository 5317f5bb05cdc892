"""Timing several works in turns, by the clock on the wall and in CPU seconds."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeVar

import torch

ROUNDS = 6
MATRIX = 2_048

Item = TypeVar("Item")


def matrix_product(dtype: torch.dtype) -> Callable[[], None]:
    one, other = torch.randn(2, MATRIX, MATRIX).to(dtype)
    return lambda: torch.mm(one, other)


class Taken(NamedTuple):
    """Seconds of one piece of work."""

    wall: float
    cpu: float  # of all threads


Clock = Literal["wall", "cpu"]


def seconds(**works: Callable[[], None]) -> dict[str, list[Taken]]:
    """Time works in turns, so that whatever else the machine does meets all of them."""
    for work in works.values():
        work()
    taken: dict[str, list[Taken]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            taken[name].append(Taken(time.perf_counter() - wall, time.process_time() - cpu))
    return taken


def cpu_each(work: Callable[[Item], object], items: Sequence[Item], rounds: int = 1) -> float:
    """Return the CPU seconds that the work takes for an item."""
    started = time.process_time()
    for _ in range(rounds):
        for item in items:
            work(item)
    return (time.process_time() - started) / rounds / len(items)


def middle(taken: list[Taken], clock: Clock) -> float:
    return statistics.median(getattr(one, clock) for one in taken)


def ratio(slow: list[Taken], quick: list[Taken], clock: Clock) -> float:
    """Return the median over the rounds of how many times as long the slow one takes."""
    pairs = zip(slow, quick, strict=True)
    return statistics.median(getattr(a, clock) / getattr(b, clock) for a, b in pairs)


def in_words(taken: list[Taken]) -> str:
    return f"{middle(taken, 'wall'):.2f} s ({middle(taken, 'cpu'):.2f} CPU s)"
