"""The KID with its 95 % interval, which also holds near 0.

The estimate U is |delta + e|^2 less its bias, where delta is the true difference of the sets' means
in the kernel's space, and e the error of the means of so many pictures, with a covariance S. Hence
its variance at a true distance t is 4 delta' S delta + 2 tr S^2 (Sutherland et al. 2017): it grows
with t, and U is skewed. An interval of so many standard errors on either side knows neither, and
covers too little near 0. This one has every t for which U is no surprise, as Wilson's (1927) has
for shares: U less t, and less what skewness does to its quantiles (Cornish and Fisher 1938), is
within 1.96 standard deviations at t. A distance is never below 0, and so is no end of the interval.

Dimensions: n pictures of x, m of y, d features.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from stages.metrics.feature_arrays import Features, check_pair
from stages.metrics.kernel import KernelSums, kernel_sums, likeness_to_itself, polynomial

SUBSET = 5_000  # pictures whose pairs are all looked at
Z_95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


class KernelEstimate(NamedTuple):
    """A KID without bias, which may be below 0, and the ends of where the true one lies."""

    value: float
    low: float
    high: float


def kernel_interval(x: Features, y: Features, seed: int, subset: int = SUBSET) -> KernelEstimate:
    """Estimate the KID of the distributions that both sets are from.

    Over all pairs of pictures, or where there are more than twice `subset` of both: the mean over
    random subsets without a picture in common, because pairs grow with the square.
    """
    check_pair(x, y, fewest=4)
    rng, count = np.random.default_rng(seed), max(1, min(len(x), len(y)) // subset)
    parts = [np.array_split(rng.permutation(len(one)), count) for one in (x, y)]
    found = [_terms(x[ours], y[theirs]) for ours, theirs in zip(*parts, strict=True)]
    value, biased, along, square = np.mean(found, axis=0).tolist()
    slope = along / biased if biased else 0.0
    here = max(4 * along - 2 * square, 2 * square)  # the variance is the least at 0
    # the mean of so many independent estimates has so many times less variance
    own = slope / count, here / count, 2 * square / count
    return KernelEstimate(value, *score_interval(value, *own))


class _Terms(NamedTuple):
    """What the interval is made of: of one subset, or means over all."""

    value: float
    biased: float  # |delta + e|^2
    along: float  # (delta + e)' S (delta + e)
    trace_of_square: float  # of S


def _terms(x: Features, y: Features) -> _Terms:
    ours, theirs, across = (kernel_sums(*pair, polynomial) for pair in ((x, x), (y, y), (x, y)))
    terms_x = ours.by_row / len(x) - across.by_row / len(y)
    terms_y = theirs.by_row / len(y) - across.by_column / len(x)
    biased = float(terms_x.mean() + terms_y.mean())
    along = float(terms_x.var(ddof=1) / len(x) + terms_y.var(ddof=1) / len(y))
    trace, trace_of_square = 0.0, 2 * _across(across) / (len(x) * len(y))
    for sums, own in ((ours, x), (theirs, y)):
        alone = _Spread.of(sums, likeness_to_itself(own, polynomial))
        trace += alone.trace / len(own)
        trace_of_square += alone.trace_of_square / len(own) ** 2
    return _Terms(biased - trace, biased, along, max(0.0, trace_of_square))  # below 0 by rounding


def score_interval(value: float, slope: float, here: float, at_0: float) -> tuple[float, float]:
    """Return the lowest and the highest true distance t for which `value` is no surprise.

    The variance of the estimate is `here` at t = value, `at_0` at t = 0, and changes by 4 `slope`
    with t, where `slope` is the variance of e in the direction of delta. Of the Cornish-Fisher
    quantiles the term of skewness is taken as it is far from 0, (z^2 - 1) slope. So the ends are
    the roots of a quadratic equation in t.
    """
    shift = (Z_95**2 - 1) * slope
    surprise = shift + Z_95 * math.sqrt(at_0)  # the largest value to expect at 0
    middle = value - shift + 2 * Z_95**2 * slope
    inside = here + 4 * slope * (Z_95**2 * slope - shift)
    half = Z_95 * math.sqrt(max(0.0, inside))
    return (max(0.0, middle - half) if value > surprise else 0.0), max(0.0, middle + half)


class _Spread(NamedTuple):
    """The covariance of one set in the kernel's space."""

    trace: float
    trace_of_square: float

    @classmethod
    def of(cls, sums: KernelSums, itself: Float[np.ndarray, " n"]) -> "_Spread":
        """Estimate both from the table of the set with itself; a trace needs its diagonal alone."""
        count, total = len(itself), sums.by_row.sum()
        centred = itself - 2 * sums.by_row / count + total / count**2
        squares = _centred_squares(sums) - float(centred @ centred)
        return cls(float(centred.sum()) / (count - 1), squares / (count * (count - 1)))


def _across(sums: KernelSums) -> float:
    """Return the trace of the product of both sets' covariances."""
    return _centred_squares(sums) / ((len(sums.by_row) - 1) * (len(sums.by_column) - 1))


def _centred_squares(sums: KernelSums) -> float:
    """Return the sum of squares of the table when its rows and columns have the mean 0."""
    rows, columns = len(sums.by_row), len(sums.by_column)
    of_means = sums.by_row @ sums.by_row / columns + sums.by_column @ sums.by_column / rows
    return float(sums.squares - of_means + sums.by_row.sum() ** 2 / (rows * columns))
