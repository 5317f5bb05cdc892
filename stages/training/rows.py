"""Rows of a finished table, handed to a training worker batch by batch, prepared ahead of time.

See `order` for which rows a batch has. A worker reads the row groups that hold its rows of the
batches it was asked for, each once while the window lasts that it belongs to, and no other: also
when it starts in the middle. Groups in memory are those of the windows from the batch in use to
the last one that is prepared ahead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from schemas.settings import FitSettings
from stages.ahead import ahead
from stages.training.order import WINDOW_ROWS, Order, share
from stages.training.table import Columns, Table
from stages.training.task import Place

Ready = TypeVar("Ready")

READ_AT_ONCE = 2  # row groups; more threads spend their time on waiting for each other


@dataclass(frozen=True)
class Coming:
    """A worker's rows of a batch, while their row groups are being read."""

    places: np.ndarray  # of each row in its row group
    epochs: np.ndarray
    visits: np.ndarray  # which visit to a row group each row belongs to
    reading: Mapping[int, Future[Columns]]  # by visit

    def columns(self) -> Columns:
        """Return the rows once they are read, and the epoch in which each is seen."""
        found: Columns = {"epoch": self.epochs}
        for visit, group in self.reading.items():
            here = np.flatnonzero(self.visits == visit)
            for name, values in group.result().items():
                if name not in found:
                    found[name] = np.empty((len(self.visits), *values.shape[1:]), values.dtype)
                found[name][here] = values[self.places[here]]
        return found


def coming(
    table: Table,
    columns: Sequence[str],
    *,
    seed: int,
    batch_size: int,
    step: int = 0,
    rank: int = 0,
    world: int = 1,
    window_rows: int = WINDOW_ROWS,
) -> Iterator[Coming]:
    """Begin to read this worker's rows of global batch `step`, then of all that follow.

    Each is to be used before the iterator is closed.
    """
    order = Order([group.rows for group in table.groups], seed, window_rows)
    count, total = len(table.groups), order.total
    reading: dict[int, Future[Columns]] = {}
    reader = ThreadPoolExecutor(READ_AT_ONCE)
    try:
        for batch in order.batches(step, batch_size):
            rows = share(batch, rank=rank, world=world)
            visits = rows["window"] * count + rows["group"]  # a group is in a window once
            wanted = np.unique(visits).tolist()
            for visit in wanted:
                if visit not in reading:
                    reading[visit] = reader.submit(table.read, visit % count, columns)
            yield Coming(
                rows["place"],
                rows["window"] // total,
                visits,
                {visit: reading[visit] for visit in wanted},
            )
            still = batch["window"][-1] * count  # groups of windows before are not met again
            reading = {visit: group for visit, group in reading.items() if visit >= still}
    finally:
        reader.shutdown(cancel_futures=True)


def prepared_batches(
    table: Table,
    columns: Sequence[str],
    prepare: Callable[[Columns], Ready],
    *,
    fit: FitSettings,
    step: int,
    place: Place,
    threads: int,
    depth: int,
    window_rows: int = WINDOW_ROWS,
) -> Iterator[Ready]:
    """Yield a worker's batches of a run from `step` on, prepared `depth` ahead in `threads`."""
    raw = coming(
        table,
        columns,
        seed=fit.seed,
        batch_size=fit.batch_size,
        step=step,
        rank=place.rank,
        world=place.world,
        window_rows=window_rows,
    )
    with ThreadPoolExecutor(threads) as pool:
        yield from ahead(lambda batch: prepare(batch.columns()), raw, pool, depth)
