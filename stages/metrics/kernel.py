"""Distances by a kernel: KID (Binkowski et al. 2018) and CMMD (Jayasumana et al. 2024).

Both are a squared maximum mean discrepancy (Gretton et al. 2012): how alike the pictures of each
set are among themselves, less twice how alike those of one set are to the other's. Unlike the
Frechet distance, KID has no bias at any number of pictures; it may be below 0.

Dimensions: n pictures of x, m of y, d features.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from stages.metrics.feature_arrays import (
    Features,
    blocks,
    check_pair,
    of_length_one,
    pair_blocks,
    squared_distances,
)

Estimator = Literal["biased", "unbiased"]
Kernel = Callable[[Features, Features], Float[np.ndarray, "n m"]]

SUBSET = 1_000  # pictures of a subset, as in the paper of KID
FEWEST_SUBSETS = 10  # so that their spread says something
DIAGONAL = 64  # rows at a time where only a table's diagonal is used
WIDTH, SCALE = 10.0, 1_000.0  # of CMMD's Gaussian kernel, and what its paper multiplies by


def polynomial(x: Features, y: Features) -> Float[np.ndarray, "n m"]:
    """Return (x.y / d + 1)^3, the kernel of KID."""
    base = x @ y.T / x.shape[1] + 1
    return base * base * base


def gaussian(x: Features, y: Features, width: float = WIDTH) -> Float[np.ndarray, "n m"]:
    """Return exp(-|x - y|^2 / (2 width^2))."""
    return np.exp(squared_distances(x, y) / (-2 * width**2))


def kernel_distance(
    x: Features, y: Features, seed: int, subset: int = SUBSET
) -> tuple[float, float]:
    """Return the KID as a mean over random subsets, and the standard error of that mean.

    No picture is in two subsets, so their values are independent and their spread gives the error
    (Zaremba et al. 2013). In the paper's subsets pictures recur: theirs has the same expectation,
    but a spread that is no error of anything. Of fewer than ten times `subset` pictures there are
    ten smaller subsets, of the larger set more pictures in each.
    """
    check_pair(x, y, fewest=4)  # two subsets of two
    rng, fewest = np.random.default_rng(seed), min(len(x), len(y))
    count = min(max(FEWEST_SUBSETS, fewest // subset), fewest // 2)
    parts = [np.array_split(rng.permutation(len(part)), count) for part in (x, y)]
    values = [
        _discrepancy(x[ours], y[theirs], polynomial, "unbiased")[0]
        for ours, theirs in zip(*parts, strict=True)
    ]
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(count))


def kernel_distance_of_all(x: Features, y: Features) -> tuple[float, float]:
    """Return the KID over all pairs of pictures, and its standard error; no seed is needed.

    It is the most precise estimate, in a time that grows with the square of the pictures.
    """
    check_pair(x, y)
    return _discrepancy(x, y, polynomial, "unbiased")


def cmmd(x: Features, y: Features, estimator: Estimator = "biased") -> tuple[float, float]:
    """Return 1,000 times the discrepancy by a Gaussian kernel of width 10, and its standard error.

    Features, which should be CLIP's, are scaled to length 1. The authors' code has the biased
    estimator, over all pairs with each picture and itself among them; so has this by default.
    """
    check_pair(x, y)
    value, error = _discrepancy(of_length_one(x), of_length_one(y), gaussian, estimator)
    return SCALE * value, SCALE * error


def _discrepancy(
    x: Features, y: Features, kernel: Kernel, estimator: Estimator
) -> tuple[float, float]:
    """Return the squared maximum mean discrepancy and its standard error.

    A picture's term is its mean likeness to its own set less that to the other one. The error comes
    from the spread of the terms (first order).
    """
    ours, theirs = (_own_likeness(one, kernel, estimator) for one in (x, y))
    across = kernel_sums(x, y, kernel)
    terms_x, terms_y = ours - across.by_row / len(y), theirs - across.by_column / len(x)
    variance = 4 * (terms_x.var(ddof=1) / len(x) + terms_y.var(ddof=1) / len(y))
    return float(terms_x.mean() + terms_y.mean()), math.sqrt(variance)


def _own_likeness(x: Features, kernel: Kernel, estimator: Estimator) -> Float[np.ndarray, " n"]:
    """Return each picture's mean likeness to its own set, itself left out if unbiased."""
    sums = kernel_sums(x, x, kernel).by_row
    if estimator == "biased":
        return sums / len(x)
    return (sums - likeness_to_itself(x, kernel)) / (len(x) - 1)


def likeness_to_itself(x: Features, kernel: Kernel) -> Float[np.ndarray, " n"]:
    few = (x[rows].astype(np.float64) for rows in blocks(len(x), DIAGONAL))
    return np.concatenate([kernel(some, some).diagonal() for some in few])


class KernelSums(NamedTuple):
    """Sums over the table of a kernel, which has a row for each x and a column for each y."""

    by_row: Float[np.ndarray, " n"]
    by_column: Float[np.ndarray, " m"]
    squares: float  # of all entries


def kernel_sums(x: Features, y: Features, kernel: Kernel) -> KernelSums:
    """Add up the kernel's table, block by block."""
    by_row, by_column, squares = np.zeros(len(x)), np.zeros(len(y)), 0.0
    for rows, columns, ours, theirs in pair_blocks(x, y):
        alike = kernel(ours, theirs)
        by_row[rows] += alike.sum(axis=1)
        by_column[columns] += alike.sum(axis=0)
        squares += float(np.vdot(alike, alike))
    return KernelSums(by_row, by_column, squares)
