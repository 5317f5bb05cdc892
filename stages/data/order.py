"""Which rows are in global batch k: a pure function of the seed and k.

An epoch is a permutation of the table's row groups, cut into windows of several groups. Rows are
shuffled inside a window, so a batch has rows of all its groups, and a reader holds a window or two
and never the table. Epochs follow each other without a gap, and batches are cut from this endless
stream: no row is dropped at an epoch's end. The number of workers makes no difference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

WINDOW_ROWS = 4_096

# A row of the stream: where its window starts in the stream, its row group, its offset in there.
ROW = np.dtype([("window", np.int64), ("group", np.int64), ("offset", np.int64)])


def generator(*entropy: int) -> np.random.Generator:
    return np.random.default_rng([number % 2**64 for number in entropy])


@dataclass(frozen=True)
class Order:
    """The endless stream of rows of a table with row groups of these sizes."""

    sizes: Sequence[int]
    seed: int
    window_rows: int = WINDOW_ROWS

    @property
    def total(self) -> int:
        return sum(self.sizes)

    def batches(self, step: int, batch_size: int) -> Iterator[np.ndarray]:
        """Yield the rows of global batch `step`, then of all that follow, as arrays of ROW."""
        at = step * batch_size
        windows = self.windows(at)
        window = next(windows)
        while True:
            parts, missing = [], batch_size
            while missing:
                if at == window["window"][0] + len(window):
                    window = next(windows)
                start = at - window["window"][0]
                parts.append(window[start : start + missing])
                at, missing = at + len(parts[-1]), missing - len(parts[-1])
            yield np.concatenate(parts)

    def windows(self, position: int) -> Iterator[np.ndarray]:
        """Yield windows for ever, as arrays of ROW, from the one that holds row `position` on."""
        epoch = position // self.total
        while True:
            for start, groups in self._epoch(epoch):
                if start + sum(self.sizes[group] for group in groups) > position:
                    yield self._shuffled(epoch, start, groups)
            epoch += 1

    def _epoch(self, epoch: int) -> Iterator[tuple[int, list[int]]]:
        """Yield each window of an epoch: its start in the stream, and its row groups."""
        start = epoch * self.total
        taken: list[int] = []
        filled = 0
        groups = generator(self.seed, epoch).permutation(len(self.sizes)).tolist()
        for group in groups:
            taken.append(group)
            filled += self.sizes[group]
            if filled >= self.window_rows:
                yield start, taken
                start, taken, filled = start + filled, [], 0
        if taken:
            yield start, taken

    def _shuffled(self, epoch: int, start: int, groups: Sequence[int]) -> np.ndarray:
        sizes = [self.sizes[group] for group in groups]
        rows = np.empty(sum(sizes), ROW)
        rows["window"] = start
        rows["group"] = np.repeat(groups, sizes)
        rows["offset"] = np.concatenate([np.arange(size) for size in sizes])
        return rows[generator(self.seed, epoch, start).permutation(len(rows))]


def share(rows: np.ndarray, *, rank: int, world_size: int) -> np.ndarray:
    """Return a worker's rows of a global batch, in the batch's order.

    The batch is divided in table order, so that each worker reads few row groups.
    """
    table_order = np.lexsort((rows["group"], rows["window"]))
    start, stop = rank * len(rows) // world_size, (rank + 1) * len(rows) // world_size
    return rows[np.sort(table_order[start:stop])]
