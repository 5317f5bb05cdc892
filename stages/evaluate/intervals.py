"""Confidence intervals and standard errors of shares, also where prompts are not independent.

Fifteen wordings of six combinations are not ninety prompts: what is learned of a combination shows
in all of its wordings. So prompts that name a combination in common are one cluster here.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import betaincinv, betaln, stdtrit

from schemas.metric_value import Reported

Names = frozenset[Any]  # the combinations that one prompt names

Z_95 = 1.959963984540054  # two-sided 95 % point of the normal distribution
LUCK = 2  # standard errors: a smaller difference may be luck
# Where the mean of all groups may lie: finer towards 0 and 1, where intervals are short.
EDGES = np.sin(np.linspace(0, math.pi / 2, 601)) ** 2
MEANS = (EDGES[1:] + EDGES[:-1])[:, None] / 2
# How alike the prompts of a group may be (intraclass correlation); finer towards 0. Before anything
# is seen, 0 is likelier than 1: (1 - x)^2, the Beta(1, 3) distribution.
ALIKE_EDGES = np.linspace(0, 1, 41) ** 3
ALIKE = (ALIKE_EDGES[1:] + ALIKE_EDGES[:-1]) / 2
PRIOR = np.log(np.diff(EDGES))[:, None] + np.log(np.diff(ALIKE_EDGES)) + 2 * np.log1p(-ALIKE)
EACH_SIDE = 0.025  # left out of an interval of 95 %
BATCH = 1_024  # prompts that are compared with all others at a time


def error_of(value: Reported) -> float:
    """Return the standard error of which the value's interval has so many on either side."""
    assert value.interval is not None, "a distance without bias has an interval"
    low, high = value.interval
    return (high - low) / (2 * Z_95)


def wilson(successes: float, trials: float, z: float = Z_95) -> tuple[float, float]:
    """Return the interval that holds the true share with 95 % confidence (Wilson 1927).

    Unlike p +- z * sqrt(p (1 - p) / n) it stays inside [0, 1] and is honest near the ends.
    """
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    centre, scale = share + z * z / (2 * trials), 1 + z * z / trials
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return max(0.0, min(share, low)), min(1.0, max(share, high))  # rounding apart, no change


def exact(successes: int, trials: int) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson (1934): either end errs in 2.5 % at most.

    So whoever is blind is rarely found above chance. Wilson's lower end errs three times as often
    where chance is 1 in 100: it is right on average over shares, not for each.
    """
    low = betaincinv(successes, trials - successes + 1, 0.025) if successes else 0.0
    high = betaincinv(successes + 1, trials - successes, 0.975) if successes < trials else 1.0
    return float(low), float(high)


def interval(hits: Sequence[bool], names: Sequence[Names]) -> tuple[float, float]:
    """Return the interval that holds the share of combinations at large with 95 % confidence."""
    if not len(hits):
        return 0.0, 1.0
    share = float(np.mean(hits))
    if any(len(own) > 1 for own in names):
        low, high = _of_pairs(np.asarray(hits, float), names)
    else:
        low, high = _of_groups(hits, names)
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def standard_error(values: Sequence[float], names: Sequence[Names]) -> float | None:
    """Return the standard error of a mean, where errors of prompts that share a name correlate.

    It is cluster-robust where prompts name one combination each, dyadic-robust where they name two
    (Fafchamps and Gubert 2007), and the plain one where no prompts share any. None for fewer than
    two combinations.
    """
    groups = len(frozenset().union(*names))
    if groups < 2:
        return None
    errors = np.asarray(values, float) - np.mean(values)
    squares = max(_products(errors, names), float(errors @ errors))
    return math.sqrt(squares * groups / (groups - 1)) / len(errors)


def _of_groups(hits: Sequence[bool], names: Sequence[Names]) -> tuple[float, float]:
    """Return the posterior interval of the mean, if each group's share is from a beta distribution.

    Unlike a bootstrap it is honest with six groups, and where nearly all are right.
    """
    counts: dict[Names, list[int]] = {}
    for hit, own in zip(hits, names, strict=True):
        right, prompts = counts.get(own, (0, 0))
        counts[own] = [right + bool(hit), prompts + 1]
    seen = PRIOR + sum(_likelihood(right, prompts) for right, prompts in counts.values())
    mass = np.exp(seen - seen.max()).sum(axis=1).cumsum()
    below = np.concatenate([[0.0], mass / mass[-1]])
    low, high = np.interp([EACH_SIDE, 1 - EACH_SIDE], below, EDGES)
    return float(low), float(high)


@lru_cache(maxsize=256)
def _likelihood(right: int, prompts: int) -> Float[np.ndarray, "means alike"]:
    """Return the log-likelihood of the beta-binomial distribution, for every mean and likeness."""
    a, b = MEANS * (1 / ALIKE - 1), (1 - MEANS) * (1 / ALIKE - 1)
    found: Float[np.ndarray, "means alike"] = betaln(right + a, prompts - right + b) - betaln(a, b)
    return found


def _of_pairs(hits: Float[np.ndarray, " n"], names: Sequence[Names]) -> tuple[float, float]:
    """Return Wilson's interval for the effective number of independent prompts.

    Groups are few, so Student's t takes the place of the normal distribution.
    """
    error, prompts = standard_error(hits.tolist(), names), len(hits)
    share = float(hits.mean())
    if error is None:
        return 0.0, 1.0
    alone = share * (1 - share)
    worth = alone / error**2 if alone else prompts
    groups = len(frozenset().union(*names))
    z = float(stdtrit(groups - 1, 1 - EACH_SIDE))
    return wilson(share * worth, worth, z)


def _products(errors: Float[np.ndarray, " n"], names: Sequence[Names]) -> float:
    """Add up the products of the errors of all prompts that name something in common."""
    place = {name: number for number, name in enumerate(frozenset().union(*names))}
    named = np.zeros((len(names), len(place)), np.float32)
    for prompt, own in enumerate(names):
        named[prompt, [place[name] for name in own]] = 1
    total = 0.0
    for start in range(0, len(names), BATCH):
        rows = slice(start, start + BATCH)
        total += float(errors[rows] @ (named[rows] @ named.T > 0) @ errors)
    return total
