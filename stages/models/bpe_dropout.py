"""BPE-dropout: how the bytes of a word merge into tokens if each merge may be skipped at random.

Provilkov et al. 2020, algorithm 1. Each round tries the merges that are possible now, the earliest
learned first, and makes the first one that is not skipped; a round that skips all is the last. The
possible merges wait in a heap, so a word of n bytes takes n log n steps.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Pair = tuple[int, int]
Merges = Mapping[Pair, tuple[int, int]]  # two ids: (how early their merge was learned, merged id)

GONE = -1  # in place of an id that was merged into its left neighbour


class Merge(NamedTuple):
    """A possible merge; they sort in the order in which they are tried."""

    rank: int
    place: int  # of the left id
    pair: Pair
    merged: int


class Word:
    """Ids as a linked list, so that a merge moves nothing; an id's place is its first byte's."""

    def __init__(self, ids: Sequence[int], merges: Merges) -> None:
        self.ids, self.merges = list(ids), merges
        self.before = list(range(-1, len(self.ids) - 1))
        self.after = list(range(1, len(self.ids) + 1))
        self.possible: list[Merge] = []
        for place in range(len(self.ids)):
            self._offer(place)

    def run_round(self, dropout: float, draw: Callable[[], float]) -> bool:
        """Make the first merge that is not skipped; return whether there was one."""
        skipped: list[Merge] = []
        while self.possible:
            first = heapq.heappop(self.possible)
            if self._pair(first.place) != first.pair:
                continue  # one of the two has merged with its other neighbour
            if draw() >= dropout:
                self._make(first)
                for merge in skipped:
                    heapq.heappush(self.possible, merge)
                return True
            skipped.append(first)
        return False

    def _pair(self, place: int) -> Pair | None:
        """Return the id at a place and the next one; None for the last."""
        right = self.after[place]
        return (self.ids[place], self.ids[right]) if right < len(self.ids) else None

    def _offer(self, place: int) -> None:
        """Add the merge of the pair at a place to the possible ones, if it was learned."""
        pair = self._pair(place) if place >= 0 else None
        if pair is not None and (found := self.merges.get(pair)) is not None:
            rank, merged = found
            heapq.heappush(self.possible, Merge(rank, place, pair, merged))

    def _make(self, merge: Merge) -> None:
        left, right = merge.place, self.after[merge.place]
        self.ids[left], self.ids[right] = merge.merged, GONE
        self.after[left] = self.after[right]
        if self.after[right] < len(self.ids):
            self.before[self.after[right]] = left
        self._offer(self.before[left])
        self._offer(left)


def merge_with_dropout(
    ids: Sequence[int], merges: Merges, dropout: float, draw: Callable[[], float]
) -> tuple[int, ...]:
    """Run rounds until one skips all merges; `draw` returns uniform numbers in [0, 1)."""
    word = Word(ids, merges)
    while word.run_round(dropout, draw):
        pass
    return tuple(i for i in word.ids if i != GONE)
