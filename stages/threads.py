"""Do one small task for many items in parallel: object stores are slow, but answer many at once."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")

THREADS = 16


def in_threads(
    work: Callable[[Item], Done], items: Iterable[Item], threads: int = THREADS
) -> Iterator[Done]:
    """Yield `work(item)` in the order of the items, all of which are taken at once."""
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, items)
