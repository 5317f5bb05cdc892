"""Find all 64-bit hashes within a few bits of each other, without comparing every pair.

Cut the bits into `distance + k` blocks. Two hashes that differ in at most `distance` bits agree in
at least k of the blocks; so for every choice of k blocks one sort brings all hashes that agree
there into one run, and only the members of a run are compared. At distance 3 and ten million hashes
k is 2: ten sorts by 25 bits, where chance gives every third hash a stranger to be compared with. No
pair is missed: the answer is that of comparing each with each.

Real hashes are skewed and some runs are long. Those are searched in the same way by the bits that
the key left out, all long runs of a table in one sort. And a run that is one component already may
be passed over, which matters where thousands are near each other.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Protocol

import numpy as np
from jaxtyping import Int64, UInt64

HASH_BITS = 64
COMPARE = 0.05  # cost of one comparison, in sorts of one hash
SHORT_RUN = 32  # up to here runs are compared all together, beyond it one by one
TRIED = 1 << 16  # hashes from which the length of runs is estimated
MOST_AGREEING = 5  # blocks in a key
AT_ONCE = 1 << 20  # members whose candidates are in memory together
BLOCK = 1 << 17  # comparisons held in memory together

Hashes = UInt64[np.ndarray, " n"]
Indices = Int64[np.ndarray, " n"]
Pairs = tuple[Indices, Indices]


class Parts(Protocol):
    """What has been found to belong together so far."""

    def of(self, members: Indices) -> Indices:
        """Return a number for each member; equal numbers belong together already."""


@dataclass(frozen=True)
class Group:
    """Hashes that have been found equal in some bits, run by run, and are compared within runs."""

    values: Hashes
    members: Indices  # where each was in the caller's array
    runs: Indices  # the run of each, ascending
    free: tuple[int, ...]  # bits in which members of a run may differ
    references: int | None  # members below this are compared with those above; None: all with all

    @classmethod
    def one(cls, values: Hashes, references: int | None = None) -> "Group":
        everyone = np.arange(len(values))
        return cls(values, everyone, np.zeros_like(everyone), tuple(range(HASH_BITS)), references)

    def every(self, stride: int) -> "Group":
        values, members, runs = self.values[::stride], self.members[::stride], self.runs[::stride]
        return Group(values, members, runs, self.free, self.references)


def search(group: Group, distance: int, joined: Parts | None = None) -> Iterator[Pairs]:
    """Yield all pairs of members within the distance that share a run, some repeatedly.

    Pairs that `joined` knows to belong together already may be left out.
    """
    if not len(group.values):
        return
    free = _that_differ(group)
    keys = _keys(group, free, distance)
    for key in keys:
        # A longer run is cheaper to sort once more by as many keys than to compare.
        table = _Table(group, key, longest=len(keys) / COMPARE if key else math.inf)
        if joined is not None:
            table.leave_out(joined)
        yield from table.near(distance)
        rest = tuple(bit for bit in free if bit not in key)
        yield from search(table.long_runs(rest), distance, joined)


def _that_differ(group: Group) -> tuple[int, ...]:
    """Return the free bits in which the members of at least one run differ."""
    starts = starts_of(group.runs)
    heads = np.repeat(group.values[starts], lengths_of(starts, len(group.runs)))
    differing = int(np.bitwise_or.reduce(group.values ^ heads))
    return tuple(bit for bit in group.free if differing >> bit & 1)


def _keys(group: Group, free: Sequence[int], distance: int) -> list[tuple[int, ...]]:
    """Choose keys such that members of a run that differ in `distance` free bits agree in one.

    A longer key has fewer candidates and needs more tables. The empty key compares all with all.
    """
    stride = max(1, len(group.values) // TRIED)
    sample = group.every(stride)
    best: list[tuple[int, ...]] = [()]
    lowest = math.inf
    for agreeing in range(min(MOST_AGREEING, max(len(free) - distance, 0)) + 1):
        keys = _keys_of(free, distance, agreeing)
        tried = keys[:: max(1, len(keys) // 3)]
        candidates = sum(_Table(sample, key).candidates() for key in tried) / len(tried)
        cost = len(keys) * ((agreeing > 0) + COMPARE * stride * candidates / len(sample.values))
        if cost < lowest:
            best, lowest = keys, cost
        if len(keys) > lowest:
            break  # more tables cost more, however short their runs
    return best


def _keys_of(free: Sequence[int], distance: int, agreeing: int) -> list[tuple[int, ...]]:
    blocks = np.array_split(np.array(free, dtype=np.int64), max(distance + agreeing, 1))
    return [
        tuple(int(bit) for block in chosen for bit in block)
        for chosen in combinations(blocks, agreeing)
    ]


class _Table:
    """A group sorted by run and key: its runs are those members that agree in the key as well."""

    def __init__(self, group: Group, key: Sequence[int], longest: float = math.inf) -> None:
        index_bits = len(group.values).bit_length()
        packed = group.runs.astype(np.uint64)
        # What finds no room beside the index only makes runs longer.
        room = HASH_BITS - index_bits - int(group.runs[-1]).bit_length()
        for low, width in _spans(key[:room]):
            packed <<= np.uint64(width)
            packed |= group.values >> np.uint64(low) & np.uint64((1 << width) - 1)
        packed <<= np.uint64(index_bits)
        packed |= np.arange(len(packed), dtype=np.uint64)
        packed.sort()
        order = (packed & np.uint64((1 << index_bits) - 1)).astype(np.int64)
        packed >>= np.uint64(index_bits)
        starts = starts_of(packed)
        lengths = lengths_of(starts, len(packed))
        del packed
        shared = lengths > 1
        self.starts, self.lengths = starts[shared], lengths[shared]
        self.values, self.members = group.values[order], group.members[order]
        self.references = group.references
        # In a run the references come first, for the order of members is kept.
        self.first_others = self._first_others()
        partners = self.candidates_by_run() / np.maximum(self.lengths, 1)
        self.long = partners > longest

    def _first_others(self) -> Indices:
        """Return how many references lead each run; all members, when all are compared with all."""
        if self.references is None or not len(self.starts):
            return self.lengths
        before = np.concatenate([[0], np.cumsum(self.members < self.references)])
        return before[self.starts + self.lengths] - before[self.starts]

    def leave_out(self, joined: Parts) -> None:
        """Forget the runs whose members belong together already: their pairs would join nothing."""
        part = joined.of(self.members)
        changes = np.concatenate([[0], np.cumsum(part[1:] != part[:-1])])
        mixed = changes[self.starts + self.lengths - 1] != changes[self.starts]
        self.starts, self.lengths = self.starts[mixed], self.lengths[mixed]
        self.first_others, self.long = self.first_others[mixed], self.long[mixed]

    def candidates_by_run(self) -> Indices:
        if self.references is None:
            return self.lengths * (self.lengths - 1) // 2
        return self.first_others * (self.lengths - self.first_others)

    def candidates(self) -> int:
        return int(self.candidates_by_run().sum())

    def near(self, distance: int) -> Iterator[Pairs]:
        """Yield the pairs within the distance that share a run that is not long."""
        wanted = ~self.long & (self.candidates_by_run() > 0)
        short = self.lengths <= SHORT_RUN
        for run in np.flatnonzero(wanted & ~short).tolist():
            yield from self._near_in_one(run, distance)
        taken = np.flatnonzero(wanted & short)
        ends = np.cumsum(self.lengths[taken])
        pieces = range(0, int(ends[-1]) if len(ends) else 0, AT_ONCE)
        bounds = [*np.searchsorted(ends, pieces).tolist(), len(taken)]
        for begin, end in pairwise(bounds):
            yield from self._near_in(taken[begin:end], distance)

    def _near_in_one(self, run: int, distance: int) -> Iterator[Pairs]:
        start, end = self.starts[run], self.starts[run] + self.lengths[run]
        middle = start + self.first_others[run]
        first = start if self.references is None else middle
        rows = max(1, BLOCK // (middle - start))
        for top in range(first, end, rows):
            below = min(top + rows, end)
            left = slice(start, min(middle, below))
            near = np.bitwise_count(self.values[top:below, None] ^ self.values[left]) <= distance
            at, other = np.divmod(np.flatnonzero(near), near.shape[1])
            at += top - start
            before = other < at  # and not the pair turned round, or a hash and itself
            if before.any():
                yield self.members[start + other[before]], self.members[start + at[before]]

    def _near_in(self, runs: Indices, distance: int) -> Iterator[Pairs]:
        rank = _ranks(self.lengths[runs])
        base = np.repeat(self.starts[runs], self.lengths[runs])
        at = base + rank
        if self.references is None:
            partners = rank
        else:
            led_by = np.repeat(self.first_others[runs], self.lengths[runs])
            partners = np.where(rank < led_by, 0, led_by)
        for step in range(int(partners.max(initial=0))):
            more = partners > step
            at, base, partners = at[more], base[more], partners[more]
            other = base + step
            near = np.bitwise_count(self.values[at] ^ self.values[other]) <= distance
            if near.any():
                yield self.members[other[near]], self.members[at[near]]

    def long_runs(self, free: tuple[int, ...]) -> Group:
        starts, lengths = self.starts[self.long], self.lengths[self.long]
        at = np.repeat(starts, lengths) + _ranks(lengths)
        runs = np.repeat(np.arange(len(starts)), lengths)
        return Group(self.values[at], self.members[at], runs, free, self.references)


def _spans(bits: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the lowest bit and the width of each stretch of neighbouring bits."""
    splits = np.flatnonzero(np.diff(bits) != 1) + 1
    for stretch in np.split(np.array(bits, dtype=np.int64), splits):
        if len(stretch):
            yield int(stretch[0]), len(stretch)


def starts_of(ordered: np.ndarray) -> Indices:
    return np.flatnonzero(
        np.concatenate([np.ones(min(len(ordered), 1), bool), ordered[1:] != ordered[:-1]])
    )


def lengths_of(starts: Indices, total: int) -> Indices:
    """Return how long each run is, the last of which ends at `total`."""
    return np.diff(starts, append=total)


def _ranks(lengths: Indices) -> Indices:
    ends = np.cumsum(lengths)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)
