"""How the bytes of a word become tokens: learned pairs merge, each passed over by chance.

Provilkov et al. 2020, algorithm 1: in a round, the merges that are possible now are gone through,
the earliest learned first; the first that is not passed over is made. A round in which all are
passed over is the last. What can merge waits in a heap, so a word of n bytes takes n log n steps.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Pair = tuple[int, int]
Merges = Mapping[Pair, tuple[int, int]]  # of two ids: how early it was learned, id of both together

GONE = -1  # in place of an id that became part of its neighbour


class Waiting(NamedTuple):
    """Two neighbours that can merge; they sort in the order in which they do."""

    rank: int
    place: int  # of the left one
    pair: Pair
    merged: int


class Word:
    """Ids in a row; each keeps the place where it began, and knows its neighbours'."""

    def __init__(self, spelling: Sequence[int], merges: Merges) -> None:
        self.ids, self.merges = list(spelling), merges
        self.before = list(range(-1, len(self.ids) - 1))
        self.after = list(range(1, len(self.ids) + 1))
        self.waiting: list[Waiting] = []
        for place in range(len(self.ids)):
            self._offer(place)

    def round(self, dropout: float, draw: Callable[[], float]) -> bool:
        """Make the first merge that is not passed over; say whether there was one."""
        passed_over: list[Waiting] = []
        while self.waiting:
            first = heapq.heappop(self.waiting)
            if self._pair(first.place) != first.pair:
                continue  # one of the two has merged with its other neighbour
            if draw() >= dropout:
                self._merge(first)
                for each in passed_over:
                    heapq.heappush(self.waiting, each)
                return True
            passed_over.append(first)
        return False

    def spelling(self) -> tuple[int, ...]:
        """Return the ids that are left."""
        return tuple(i for i in self.ids if i != GONE)

    def _pair(self, place: int) -> Pair | None:
        """Return the id at a place and the next one, if there is a next one."""
        right = self.after[place]
        return (self.ids[place], self.ids[right]) if right < len(self.ids) else None

    def _offer(self, place: int) -> None:
        """Let the pair that begins here wait for its turn, if it can merge."""
        pair = self._pair(place) if place >= 0 else None
        if pair is not None and (found := self.merges.get(pair)) is not None:
            rank, merged = found
            heapq.heappush(self.waiting, Waiting(rank, place, pair, merged))

    def _merge(self, both: Waiting) -> None:
        left, right = both.place, self.after[both.place]
        self.ids[left], self.ids[right] = both.merged, GONE
        self.after[left] = self.after[right]
        if self.after[right] < len(self.ids):
            self.before[self.after[right]] = left
        self._offer(self.before[left])
        self._offer(left)


def spell(
    spelling: Sequence[int], merges: Merges, dropout: float, draw: Callable[[], float]
) -> tuple[int, ...]:
    """Merge what can merge, until a round passes all of it over."""
    word = Word(spelling, merges)
    while word.round(dropout, draw):
        pass
    return word.spelling()
