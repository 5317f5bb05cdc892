"""How likely a difference of two runs is by noise alone: p-values, and Holm's correction of many.

Where both runs measured the same items, each item is compared with itself, so what is hard for both
adds no noise. All tests are two-sided. Noise is that of the items: that a training with another
seed ends elsewhere is not in it, for a run has one of each.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, stdtr

from stages.evaluate.intervals import Z_95, Names, standard_error

Key = TypeVar("Key", bound=Hashable)

ALPHA = 0.05  # of all comparisons together, so many may call something different by noise alone
LEAST = 1e-300  # in place of 0, where something is divided by it
METHODS = {
    "sign flips": "of each {item}, which run is better is as good as a coin's throw if there is no "
    "difference: the exact distribution over all throws (Fisher 1935; where {item}s do not share "
    "anything it is the test of McNemar 1947)",
    "paired t": "Student's t (1908) of the differences, {item} by {item}",
    "shared combinations": "Student's t of the differences, with a standard error for prompts that "
    "share combinations (Fafchamps and Gubert 2007), or McNemar's exact test (1947) if its p is "
    "larger",
    "intervals": "other {item}s in each run: from the 95 % intervals of both (Newcombe 1998; Zou "
    "and Donner 2008)",
}


@dataclass(frozen=True)
class TestedDifference:
    """The p-value of a difference, how it was found, and of how many items."""

    p: float
    method: str  # a key of METHODS
    item: str  # what was compared one by one
    items: int
    differ: int  # items that are not the same in both; without any, nothing was tested

    @property
    def how(self) -> str:
        """Say how it was tested, with the method's reference."""
        return METHODS[self.method].format(item=self.item)


def of_shares(
    one: Sequence[bool], other: Sequence[bool], groups: Sequence[Hashable], item: str
) -> TestedDifference:
    """Test whether shares of hits on the same items differ; items of one group stand together."""
    totals: dict[Hashable, int] = {}
    for before, after, group in zip(one, other, groups, strict=True):
        totals[group] = totals.get(group, 0) + int(after) - int(before)
    p = sign_flips(np.array(list(totals.values()), np.int64))
    differ = int(np.not_equal(one, other).sum())
    return TestedDifference(p, "sign flips", item, len(totals), differ)


def of_prompts(
    one: Sequence[bool], other: Sequence[bool], names: Sequence[Names]
) -> TestedDifference:
    """Test whether shares of the same prompts differ; `names` are the combinations of each."""
    if all(len(own) == 1 for own in names):
        return of_shares(one, other, names, "combination")
    alone = of_shares(one, other, range(len(names)), "prompt")
    differences = np.subtract(np.asarray(other, float), np.asarray(one, float))
    error = standard_error(differences.tolist(), names)
    degrees = len(frozenset().union(*names)) - 1
    clustered = student(float(differences.mean()), error, degrees)
    p = max(alone.p, clustered)
    return TestedDifference(p, "shared combinations", "prompt", len(names), alone.differ)


def of_errors(
    one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"], item: str
) -> TestedDifference:
    """Test whether mean errors of the same items have another ratio than 1: decibels differ.

    The noise of a ratio of means is that of what each item adds to them (the delta method).
    """
    before, after = (max(float(values.mean()), LEAST) for values in (one, other))
    found = of_means(one / before, other / after, math.log(after / before), item)
    return replace(found, differ=int(np.not_equal(one, other).sum()))


def of_means(
    one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"], difference: float, item: str
) -> TestedDifference:
    """Test a difference whose noise is that of the items' differences `other - one`."""
    differences, count = other - one, len(one)
    error = float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else None
    p = student(difference, error, count - 1)
    return TestedDifference(p, "paired t", item, count, int(np.count_nonzero(differences)))


def of_intervals(
    shares: Sequence[float], bounds: Sequence[tuple[float, float]], item: str, items: int
) -> TestedDifference:
    """Test whether two shares of different items differ, from the 95 % interval of each."""
    (low, (_, up)), (high, (down, _)) = sorted(zip(shares, bounds, strict=True))
    distance, reach = high - low, math.hypot(up - low, high - down)  # the ends that face each other
    p = 1.0 if distance == 0 else float(2 * ndtr(-distance * Z_95 / max(reach, LEAST)))
    return TestedDifference(p, "intervals", item, items, items)


def sign_flips(totals: Int[np.ndarray, " g"]) -> float:
    """Return how often a sum is as far from 0 if every total has a sign by lot: exact."""
    sizes = np.abs(totals[totals != 0])
    reach = int(sizes.sum())
    chance = np.zeros(2 * reach + 1)  # of each sum from -reach to reach
    chance[reach] = 1
    for size in sizes:
        half = chance / 2
        chance = np.zeros_like(half)
        chance[size:] += half[:-size]
        chance[:-size] += half[size:]
    sums = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chance[sums >= abs(int(totals.sum()))].sum()))


def student(difference: float, error: float | None, degrees: int) -> float:
    """Return the p-value of a difference with a standard error; 1 where the error is not known."""
    if error is None or degrees < 1 or difference == 0:
        return 1.0
    return float(2 * stdtr(degrees, -abs(difference) / max(error, LEAST)))


def holm(values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p-values that all may be held against one bound together (Holm 1979)."""
    adjusted, largest = {}, 0.0
    for place, (key, p) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(values) - place) * p))
        adjusted[key] = largest
    return adjusted
