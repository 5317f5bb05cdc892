"""The data loader: rows of a finished table, as one worker's batches, prepared ahead of their use.

`order` decides which rows a global batch has. A worker reads only the row groups that hold its rows
of a batch, each at most once per shuffle window, also after resuming inside one. In memory are the
groups of the windows from the batch in use to the last one prepared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from stages.data.order import WINDOW_ROWS, Order, share
from stages.data.prefetch import prefetch
from stages.data.table import Columns, Table

Batch = TypeVar("Batch")

READ_THREADS = 2  # row groups at a time; more threads only wait for each other


@dataclass(frozen=True)
class RowsInReading:
    """A worker's rows of one global batch, while their row groups are being read."""

    offsets: np.ndarray  # of each row in its row group
    epochs: np.ndarray
    visits: np.ndarray  # the visit to a row group that each row belongs to
    reading: Mapping[int, Future[Columns]]  # by visit

    def columns(self) -> Columns:
        """Wait for the rows and return them, with the `epoch` in which each is seen."""
        found: Columns = {"epoch": self.epochs}
        for visit, group in self.reading.items():
            here = np.flatnonzero(self.visits == visit)
            for name, values in group.result().items():
                if name not in found:
                    found[name] = np.empty((len(self.visits), *values.shape[1:]), values.dtype)
                found[name][here] = values[self.offsets[here]]
        return found


def read_batches(
    table: Table,
    columns: Sequence[str],
    *,
    seed: int,
    batch_size: int,
    step: int = 0,
    rank: int = 0,
    world_size: int = 1,
    window_rows: int = WINDOW_ROWS,
) -> Iterator[RowsInReading]:
    """Begin to read this worker's rows of global batch `step`, then of all that follow.

    Use each before closing the iterator.
    """
    order = Order([group.rows for group in table.groups], seed, window_rows)
    count, total = len(table.groups), order.total
    reading: dict[int, Future[Columns]] = {}
    reader = ThreadPoolExecutor(READ_THREADS)
    try:
        for batch in order.batches(step, batch_size):
            rows = share(batch, rank=rank, world_size=world_size)
            visits = rows["window"] * count + rows["group"]  # a group is in a window once
            wanted = np.unique(visits).tolist()
            for visit in wanted:
                if visit not in reading:
                    reading[visit] = reader.submit(table.read, visit % count, columns)
            yield RowsInReading(
                rows["offset"],
                rows["window"] // total,
                visits,
                {visit: reading[visit] for visit in wanted},
            )
            still = batch["window"][-1] * count  # earlier windows do not come again
            reading = {visit: group for visit, group in reading.items() if visit >= still}
    finally:
        reader.shutdown(cancel_futures=True)


def prepared_batches(
    table: Table,
    columns: Sequence[str],
    prepare: Callable[[Columns], Batch],
    *,
    threads: int,
    depth: int,
    **which: int,
) -> Iterator[Batch]:
    """Yield a worker's batches, `depth` of them prepared ahead in `threads` threads.

    `which` are the arguments of `read_batches` that say which rows.
    """
    raw = read_batches(table, columns, **which)
    with ThreadPoolExecutor(threads) as pool:
        yield from prefetch(lambda batch: prepare(batch.columns()), raw, pool, depth)
