"""Find all near duplicates among 64-bit hashes, in about linear time and memory.

How is in blocks.py. Pairs come in pieces and are folded into components as they come, so memory
follows the number of hashes, not of pairs.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.filter.blocks import Group, Hashes, Indices, Pairs, lengths_of, search, starts_of

MAX_DISTANCE = 8  # beyond it most tables of a large corpus would be all one run
PENDING = 1 << 22  # pairs that wait to be folded into components
WORTH_FOLDING = 64  # or fewer nodes for each pair that waits


def clusters(hashes: Hashes, distance: int = 3) -> Indices:
    """Label each hash with the index of the first that a chain of near ones joins it to.

    Each link of a chain is of at most `distance` bits. Raises ValueError for a distance that is
    not in 0..MAX_DISTANCE.
    """
    same = _Distinct(hashes)
    components = _Components(len(same.values))
    _check(distance)
    for a, b in search(Group.one(same.values), distance, components):
        components.join(a, b)
    return components.lowest(same.first)[same.inverse]


def nearest_within(hashes: Hashes, reference: Hashes, distance: int) -> Indices:
    """Give each hash the lowest index of a reference within `distance` bits, or -1.

    Raises ValueError for a distance that is not in 0..MAX_DISTANCE.
    """
    _check(distance)
    ours, theirs = _Distinct(hashes), _Distinct(reference)
    count = len(theirs.values)
    nobody = len(reference)
    found = np.full(len(ours.values), nobody)
    together = np.concatenate([theirs.values, ours.values])
    for a, b in search(Group.one(together, count), distance):
        np.minimum.at(found, b - count, theirs.first[a])
    return np.where(found == nobody, -1, found)[ours.inverse]


def _check(distance: int) -> None:
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"wanted a distance of 0 to {MAX_DISTANCE} bits, got {distance}")


class _Distinct:
    """Equal hashes taken as one: the sorted `values`, the `first` index of each, the way back."""

    def __init__(self, hashes: Hashes) -> None:
        order = np.argsort(hashes)
        ordered = hashes[order]
        starts = starts_of(ordered)
        self.values = ordered[starts]
        self.first = np.minimum.reduceat(order, starts) if len(order) else order
        self.inverse = np.empty_like(order)
        self.inverse[order] = np.repeat(np.arange(len(starts)), lengths_of(starts, len(order)))


class _Components:
    """Connected components of nodes 0..n-1 under edges that come in pieces."""

    def __init__(self, nodes: int) -> None:
        self.labels, self.count = np.arange(nodes), nodes
        self.pending: list[Pairs] = []
        self.waiting = 0

    def join(self, a: Indices, b: Indices) -> None:
        a, b = self.labels[a], self.labels[b]
        apart = a != b
        if not apart.any():
            return
        self.pending.append((a[apart], b[apart]))
        self.waiting += len(self.pending[-1][0])
        if self.waiting > PENDING:
            self._fold()

    def of(self, nodes: Indices) -> Indices:
        """Return a label for each node; what waits is folded if that is worth a walk over all."""
        if self.waiting > self.count // WORTH_FOLDING:
            self._fold()
        return self.labels[nodes]

    def _fold(self) -> None:
        a, b = (np.concatenate(ends) for ends in zip(*self.pending, strict=True))
        edges = coo_array((np.ones(len(a), bool), (a, b)), shape=(self.count, self.count))
        self.count, merged = connected_components(edges, directed=False)
        self.labels = merged[self.labels].astype(np.int64)
        self.pending, self.waiting = [], 0

    def lowest(self, numbers: Indices) -> Indices:
        """Return for each node the lowest of its component's numbers."""
        if self.waiting:
            self._fold()
        lowest = np.full(self.count, np.iinfo(np.int64).max)
        np.minimum.at(lowest, self.labels, numbers)
        return lowest[self.labels]
