"""Precision and recall, density and coverage: do pictures lie in each other's neighbourhoods?

The neighbourhood of a picture is the closed ball around its features that just reaches the k-th
nearest other picture of its own set. Distances are made block by block: of 10,000 pictures with
2,048 features there are never more than some 100 MB of them. All four values depend on the number
of pictures, so compare them at equal counts.

Dimensions: n real pictures, m drawn ones, d features.
"""

import numpy as np
from jaxtyping import Float

from schemas.errors import UserError
from stages.metrics.feature_arrays import (
    Features,
    blocks,
    check_pair,
    pair_blocks,
    squared_distances,
)


def precision_recall(real: Features, drawn: Features, k: int) -> tuple[float, float]:
    """Return the improved precision and recall of Kynkaanniemi et al. (2019); theirs has k = 3.

    Precision is the share of drawn pictures in the neighbourhood of any real one, recall the share
    of real pictures in that of any drawn one.
    """
    _check(real, drawn, k)
    around_real, around_drawn = squared_radii(real, k), squared_radii(drawn, k)
    is_real_like, is_reached = np.zeros(len(drawn), bool), np.zeros(len(real), bool)
    for rows, columns, ours, theirs in pair_blocks(real, drawn):
        squared = squared_distances(ours, theirs)
        is_real_like[columns] |= (squared <= around_real[rows, None]).any(axis=0)
        is_reached[rows] |= (squared <= around_drawn[columns]).any(axis=1)
    return float(is_real_like.mean()), float(is_reached.mean())


def density_coverage(real: Features, drawn: Features, k: int) -> tuple[float, float]:
    """Return the density and coverage of Naeem et al. (2020); theirs has k = 5.

    Density is in how many real neighbourhoods a drawn picture lies, divided by k: about 1 for
    pictures like the real ones, and more where they crowd. Coverage is the share of real pictures
    with a drawn one in their neighbourhood.
    """
    _check(real, drawn, k)
    around_real = squared_radii(real, k)
    hits, is_covered = 0, np.zeros(len(real), bool)
    for rows, _, ours, theirs in pair_blocks(real, drawn):
        inside = squared_distances(ours, theirs) <= around_real[rows, None]
        hits += int(inside.sum())
        is_covered[rows] |= inside.any(axis=1)
    return hits / (k * len(drawn)), float(is_covered.mean())


def squared_radii(features: Features, k: int) -> Float[np.ndarray, " n"]:
    """Return the squared distance of each picture to its k-th nearest other one."""
    radii = np.empty(len(features))
    for rows in blocks(len(features)):
        ours = features[rows].astype(np.float64)
        squared = np.concatenate(
            [
                squared_distances(ours, features[columns].astype(np.float64))
                for columns in blocks(len(features))
            ],
            axis=1,
        )
        itself = np.arange(len(ours))
        squared[itself, rows.start + itself] = np.inf
        radii[rows] = np.partition(squared, k - 1, axis=1)[:, k - 1]
    return radii


def _check(real: Features, drawn: Features, k: int) -> None:
    if k < 1:
        raise UserError(f"a neighbourhood needs k of at least 1, found {k}: give 3 or 5")
    check_pair(real, drawn, fewest=k + 1)
