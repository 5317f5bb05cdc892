"""Shares of prompts that name the same things, and so are right or wrong together.

Fifteen wordings of six combinations are not ninety prompts: what is learned of a combination shows
in all of its wordings. So prompts that name a combination in common count as one group here, in
intervals and in standard errors.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import betaln
from scipy.stats import t as student

from stages.evaluate.measures import wilson

Names = frozenset[Any]  # the combinations that one prompt names

# Where the mean of all groups may lie: finer towards 0 and 1, where intervals are short.
EDGES = np.sin(np.linspace(0, math.pi / 2, 601)) ** 2
MEANS = (EDGES[1:] + EDGES[:-1])[:, None] / 2
# How alike the prompts of a group may be (intraclass correlation); finer towards 0. Before anything
# is seen, 0 is likelier than 1: (1 - x)^2, the Beta(1, 3) distribution.
ALIKE_EDGES = np.linspace(0, 1, 41) ** 3
ALIKE = (ALIKE_EDGES[1:] + ALIKE_EDGES[:-1]) / 2
PRIOR = np.log(np.diff(EDGES))[:, None] + np.log(np.diff(ALIKE_EDGES)) + 2 * np.log1p(-ALIKE)
EACH_SIDE = 0.025  # left out of an interval of 95 %
AT_ONCE = 1_024  # prompts that are compared with all others


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
    """Return that of a mean, with products of errors wherever two prompts share a combination.

    For prompts that name one it is cluster-robust, for pairs it is dyadic-robust (Fafchamps and
    Gubert 2007); where no prompts share any, it is the plain one. None for fewer than two.
    """
    groups = len(frozenset().union(*names))
    if groups < 2:
        return None
    errors = np.asarray(values, float) - np.mean(values)
    squares = max(_products(errors, names), float(errors @ errors))
    return math.sqrt(squares * groups / (groups - 1)) / len(errors)


def _of_groups(hits: Sequence[bool], names: Sequence[Names]) -> tuple[float, float]:
    """Each group has a share of its own, from a beta distribution: the posterior of its mean.

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
    """Return the logarithm of the beta-binomial distribution, for every mean and likeness."""
    a, b = MEANS * (1 / ALIKE - 1), (1 - MEANS) * (1 / ALIKE - 1)
    found: Float[np.ndarray, "means alike"] = betaln(right + a, prompts - right + b) - betaln(a, b)
    return found


def _of_pairs(hits: Float[np.ndarray, " n"], names: Sequence[Names]) -> tuple[float, float]:
    """Wilson's interval for as many prompts as would err as much if none had a part in common.

    Groups are few, so Student's t takes the place of the normal distribution.
    """
    error, prompts = standard_error(hits.tolist(), names), len(hits)
    share = float(hits.mean())
    if error is None:
        return 0.0, 1.0
    alone = share * (1 - share)
    worth = alone / error**2 if alone else prompts
    groups = len(frozenset().union(*names))
    z = float(student.ppf(1 - EACH_SIDE, groups - 1))
    return wilson(share * worth, worth, z)


def _products(errors: Float[np.ndarray, " n"], names: Sequence[Names]) -> float:
    """Add up the products of the errors of all prompts that name something in common."""
    place = {name: number for number, name in enumerate(frozenset().union(*names))}
    named = np.zeros((len(names), len(place)), np.float32)
    for prompt, own in enumerate(names):
        named[prompt, [place[name] for name in own]] = 1
    total = 0.0
    for start in range(0, len(names), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        total += float(errors[rows] @ (named[rows] @ named.T > 0) @ errors)
    return total
