"""Which rows are in global batch k: a pure function of the seed and k.

An epoch is a permutation of the table's row groups, cut into windows of several groups; rows are
shuffled inside a window, so a reader holds one window and never the table. Epochs follow each
other without a gap, and batches are cut from this endless stream: no row is dropped at an epoch's
end. Workers take every n-th row of a batch, so their number changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

WINDOW_ROWS = 4_096


def generator(*entropy: int) -> np.random.Generator:
    """Return a generator that is a function of these numbers alone."""
    return np.random.default_rng([number % 2**64 for number in entropy])


@dataclass(frozen=True)
class Window:
    """Neighbouring rows of the stream."""

    epoch: int
    start: int  # position in the stream of the first row
    groups: Int[np.ndarray, " n"]  # the row group that each row is in
    rows: Int[np.ndarray, " n"]  # its place there

    @property
    def stop(self) -> int:
        """Return the position in the stream after the last row."""
        return self.start + len(self.groups)


@dataclass(frozen=True)
class Order:
    """The endless stream of the rows of a table whose row groups have these sizes."""

    sizes: Sequence[int]
    seed: int
    window_rows: int = WINDOW_ROWS

    @property
    def total(self) -> int:
        """Rows of an epoch."""
        return sum(self.sizes)

    def windows(self, position: int) -> Iterator[Window]:
        """Yield windows for ever, from the one that holds `position` on."""
        epoch = position // self.total
        while True:
            for window in self._epoch(epoch):
                if window.stop > position:
                    yield self._shuffled(window)
            epoch += 1

    def _epoch(self, epoch: int) -> Iterator[Window]:
        """Yield the windows of an epoch, rows not yet shuffled."""
        start = epoch * self.total
        taken: list[int] = []
        filled = 0
        groups = generator(self.seed, epoch).permutation(len(self.sizes)).tolist()
        for place, group in enumerate(groups):
            taken.append(group)
            filled += self.sizes[group]
            if filled >= self.window_rows or place == len(groups) - 1:
                sizes = [self.sizes[g] for g in taken]
                rows = np.concatenate([np.arange(size) for size in sizes])
                yield Window(epoch, start, np.repeat(taken, sizes), rows)
                start, taken, filled = start + filled, [], 0

    def _shuffled(self, window: Window) -> Window:
        draw = generator(self.seed, window.epoch, window.start)
        order = draw.permutation(len(window.rows))
        return Window(window.epoch, window.start, window.groups[order], window.rows[order])


def local_positions(
    step: int, batch_size: int, *, rank: int, world: int
) -> Int[np.ndarray, " local"]:
    """Return where in the stream the rows are that this worker takes of the batch of `step`."""
    return np.arange(step * batch_size + rank, (step + 1) * batch_size, world)
