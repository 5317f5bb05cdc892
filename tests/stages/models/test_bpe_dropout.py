"""Merging with dropout, against algorithm 1 of its paper: in its very draws, and in all of them."""

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.models.bpe import SHORT, train_bpe
from stages.models.bpe_dropout import merge_with_dropout

# Pairs that overlap in every way: of one letter, of both neighbours, of what merged before.
LEARNED = [(0, 0), (0, 1), (1, 0), (3, 3), (4, 2), (3, 1), (6, 0), (2, 5), (7, 7), (8, 2)]
MERGES = {pair: (rank, 3 + rank) for rank, pair in enumerate(LEARNED)}
LETTERS = st.lists(st.integers(0, 2), max_size=40).map(tuple)


def possible(spelling):
    """What can merge now, the earliest learned first: its rank, its place."""
    pairs = enumerate(itertools.pairwise(spelling))
    return sorted((MERGES[pair][0], place) for place, pair in pairs if pair in MERGES)


def merge(spelling, place):
    merged = MERGES[spelling[place : place + 2]][1]
    return (*spelling[:place], merged, *spelling[place + 2 :])


def in_rounds(spelling, dropout, draw):
    """Begin again after every merge, with all that is possible then."""
    while True:
        kept = next((place for _, place in possible(spelling) if draw() >= dropout), None)
        if kept is None:
            return spelling
        spelling = merge(spelling, kept)


@given(LETTERS, st.floats(0, 1), st.integers(0, 2**32))
def test_equal_draws_give_equal_spellings_and_as_many_are_made(letters, dropout, seed):
    ours, theirs = random.Random(seed), random.Random(seed)
    assert merge_with_dropout(letters, MERGES, dropout, ours.random) == in_rounds(
        letters, dropout, theirs.random
    )
    assert ours.getstate() == theirs.getstate()


def as_defined(spelling, dropout):
    """How likely each spelling is by algorithm 1: each round leaves out any set of merges."""
    now = possible(spelling)
    found = Counter()
    for kept in itertools.product((True, False), repeat=len(now)):
        likely = math.prod(1 - dropout if keep else dropout for keep in kept)
        first = next((place for (_, place), keep in zip(now, kept, strict=True) if keep), None)
        if first is None:
            found[spelling] += likely
            continue
        for end, chance in as_defined(merge(spelling, first), dropout).items():
            found[end] += likely * chance
    return found


class Undecided(Exception):
    pass


def all_draws(letters, dropout):
    """How likely each spelling is by what is done with every sequence of draws."""
    found, open_ = Counter(), [()]
    while open_:
        decided = open_.pop()
        rest = iter(decided)

        def draw(rest=rest):
            for keep in rest:
                return 1.0 if keep else 0.0
            raise Undecided

        try:
            end = merge_with_dropout(letters, MERGES, dropout, draw)
        except Undecided:
            open_ += [(*decided, True), (*decided, False)]
            continue
        found[end] += math.prod(1 - dropout if keep else dropout for keep in decided)
    return found


@pytest.mark.parametrize("letters", ["00000", "01001", "001002", "10210", "000100"])
def test_spellings_are_exactly_as_likely_as_by_the_definition(letters):
    word = tuple(map(int, letters))
    wanted, found = as_defined(word, 0.3), all_draws(word, 0.3)
    assert len(wanted) > 4
    assert found.keys() == wanted.keys()
    for spelling, likely in wanted.items():
        assert found[spelling] == pytest.approx(likely, rel=1e-9)


class Counted(dict):
    """Counts how often somebody asks for a merge."""

    asked = 0

    def get(self, pair, default=None):
        self.asked += 1
        return super().get(pair, default)


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5, 1.0])
def test_a_word_twice_as_long_takes_twice_the_looks(dropout):
    def looks(length):
        merges, draw = Counted(MERGES), random.Random(0)
        merge_with_dropout((0, 1, 0, 0, 2) * (length // 5), merges, dropout, draw.random)
        return merges.asked

    assert looks(2_000) <= 2.2 * looks(1_000) <= 2.2 * 3 * 1_000


@pytest.mark.parametrize("word", ["redsquare" * 200, "😀" * 1_000, "a" * 4_000, "x" + "́" * 1_500])
def test_a_word_without_end_is_spelled_like_a_short_one(word):
    bpe = train_bpe(["red square 😀 aa á"] * 9, 280)
    assert len(word.encode()) > SHORT
    assert bpe.decode(bpe.encode(word, 0.1, 0)) == word
    assert bpe.encode(word, 1e-12, 0) == bpe.encode(word)
