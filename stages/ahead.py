"""Work done ahead of its use, in threads or processes, in order and within bounds."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def ahead(
    work: Callable[[Item], Done], items: Iterable[Item], pool: Executor, depth: int
) -> Iterator[Done]:
    """Yield `work(item)` in the order of `items`, `depth` of them under way before their turn."""
    waiting: deque[Future[Done]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
