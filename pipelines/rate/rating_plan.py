"""The plan of a human evaluation: which pairs are shown, to whom, in which order and on which side.

Paper: section 3.1 and appendix F, 1,000 captions, two systems, five votes a pair.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from schemas.manifest import Record

VOTES = 5  # of a pair, if there are as many raters
PAIRS_PER_GOLD = 20
FEWEST_GOLD = 5  # fewer would not tell a rater who looks from one who does not


class RatedCaption(NamedTuple):
    """A caption, and the key by which systems find their picture for it."""

    key: str
    caption: str


class PlannedSystem(Record):
    """A system, and a digest of those of its pictures that are shown."""

    name: str
    source: str
    pictures_sha256: str


class PlannedPair(Record):
    """Two pictures for one caption; which is the first has been drawn by lot."""

    number: int
    key: str
    caption: str
    first: str = Field(description="name of a system")
    second: str
    ruined: Literal["first", "second"] | None = Field(
        None, description="gold question: one picture twice, the named one made unrecognisable"
    )


class PlannedPage(Record):
    """What one rater sees, in order."""

    rater: int
    pairs: tuple[int, ...]
    first_is_left: tuple[bool, ...]


class RatingPlan(Record):
    """All that is needed to read the answers; the raters' pages know nothing of the systems."""

    format: Literal["dalle-ray rating plan"] = "dalle-ray rating plan"
    version: Literal[1] = 1
    seed: int
    votes: int = Field(description="of each pair, if every rater answers everything")
    systems: tuple[PlannedSystem, ...]
    pairs: tuple[PlannedPair, ...]
    pages: tuple[PlannedPage, ...]

    @property
    def identity(self) -> str:
        """Twelve hex digits that answers repeat, so that none is counted for another plan."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def choose_pairs(
    captions: Sequence[RatedCaption], systems: Sequence[str], count: int, raters: int, seed: int
) -> list[PlannedPair]:
    """Draw pairs by lot, with gold questions among them.

    All pairs of systems meet equally often, and each of them at most once on a caption.
    """
    rng = np.random.default_rng(seed)
    order = [captions[place] for place in rng.permutation(len(captions))]
    drawn: list[dict[str, Any]] = []
    for one, meeting in islice(_meetings(order, systems), count):
        first, second = rng.permutation(meeting).tolist()
        drawn.append(one._asdict() | {"first": first, "second": second})
    for place in range(_gold_questions(len(drawn), raters)):
        system, ruined = str(rng.choice(systems)), str(rng.choice(["first", "second"]))
        one = order[place % len(order)]
        drawn.append(one._asdict() | {"first": system, "second": system, "ruined": ruined})
    return [
        PlannedPair(number=number, **drawn[place])
        for number, place in enumerate(rng.permutation(len(drawn)).tolist(), start=1)
    ]


def _gold_questions(pairs: int, raters: int) -> int:
    """Count the gold questions, which every rater answers."""
    of_a_rater = pairs * min(VOTES, raters) / raters
    return max(FEWEST_GOLD, math.ceil(of_a_rater / PAIRS_PER_GOLD))


def _meetings(
    captions: Sequence[RatedCaption], systems: Sequence[str]
) -> Iterator[tuple[RatedCaption, tuple[str, str]]]:
    pairs = list(combinations(systems, 2))
    for turn in range(len(pairs)):
        for place, caption in enumerate(captions):
            yield caption, pairs[(place + turn) % len(pairs)]


def assign(pairs: Sequence[PlannedPair], raters: int, seed: int) -> list[PlannedPage]:
    """Give each pair to five raters and each gold question to all, in an order of their own."""
    votes = min(VOTES, raters)
    own: list[list[int]] = [[] for _ in range(raters)]
    real = [pair.number for pair in pairs if pair.ruined is None]
    for place, number in enumerate(real):
        for vote in range(votes):
            own[(place * votes + vote) % raters].append(number)
    gold = [pair.number for pair in pairs if pair.ruined is not None]
    return [
        _page(rater, numbers + gold, np.random.default_rng([seed, rater]))
        for rater, numbers in enumerate(own, start=1)
    ]


def _page(rater: int, numbers: Sequence[int], rng: np.random.Generator) -> PlannedPage:
    order = rng.permutation(numbers).tolist()
    sides = rng.integers(2, size=len(order)).astype(bool).tolist()
    return PlannedPage(rater=rater, pairs=tuple(order), first_is_left=tuple(sides))
