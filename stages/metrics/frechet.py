"""The Frechet distance of two sets of features; on those of Inception-v3 it is the FID.

It is the distance of two normal distributions with the sets' means and covariances (Dowson and
Landau 1982; Heusel et al. 2017). It is too large by a bias that is nearly proportional to 1 over
the number of pictures, so two numbers compare only at equal counts, or at infinitely many pictures
(Chong and Forsyth 2020).

Dimensions: n pictures, d features.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from stages.metrics.feature_arrays import Features, blocks, check_features, check_same_width
from stages.metrics.moments import AT_ONCE, Moments

SIZES = 15  # points of the line that is drawn to infinitely many pictures, as in the paper
FEWEST = 5_000  # pictures of the first point, as in the paper; of fewer than 10,000, half of them

Square = Float[np.ndarray, "d d"]


def frechet_distance(a: Moments, b: Moments) -> float:
    """Return |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) for the covariances A and B.

    Raises UserError if the two are of different networks, or one has fewer than two pictures.
    """
    return Yardstick.of(a).distance(b)


@dataclass(frozen=True)
class Yardstick:
    """A reference set with the root of its covariance, which takes a while: for many distances."""

    moments: Moments
    covariance: Square
    root: Square

    @classmethod
    def of(cls, moments: Moments) -> "Yardstick":
        covariance = moments.covariance
        values, vectors = np.linalg.eigh(covariance)
        root = (vectors * np.sqrt(without_rounding(values))) @ vectors.T
        return cls(moments, covariance, root)

    def distance(self, drawn: Moments) -> float:
        """Return the distance of other pictures from the reference.

        A B has the eigenvalues of A^(1/2) B A^(1/2), which is symmetric: unlike the root of a
        product that is not, theirs exist, are real and precise also where a covariance is singular.
        """
        check_same_width(len(self.moments.mean), len(drawn.mean))
        covariance = drawn.covariance
        away = drawn.mean - self.moments.mean
        shared = without_rounding(np.linalg.eigvalsh(self.root @ covariance @ self.root))
        apart = away @ away + np.trace(self.covariance) + np.trace(covariance)
        return max(0.0, float(apart - 2 * np.sqrt(shared).sum()))


def without_rounding(eigenvalues: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """Set to 0 what is below the precision of the largest; its root would not be small."""
    smallest = len(eigenvalues) * np.finfo(np.float64).eps * eigenvalues[-1]
    return np.where(eigenvalues > smallest, eigenvalues, 0.0)


def moments_of_rows(features: Features, rows: np.ndarray) -> Moments:
    """Return the moments of some rows, without a copy of all of them."""
    moments = Moments()
    for some in blocks(len(rows), AT_ONCE):
        moments.add(features[rows[some]])
    return moments


def frechet_at_infinity(reference: Moments, drawn: Features, seed: int) -> float:
    """Return the distance at infinitely many drawn pictures (Chong and Forsyth 2020).

    A straight line in 1/n goes through the distances of random subsets of 15 sizes, from 5,000 (of
    fewer than 10,000: from half of them) to all; the value is where 1/n is 0. The reference stays
    as it is. The value may be a little below 0.
    """
    check_features(drawn, fewest=4)
    rng, yardstick = np.random.default_rng(seed), Yardstick.of(reference)
    sizes = np.linspace(min(FEWEST, len(drawn) // 2), len(drawn), SIZES).astype(int)
    distances = [
        yardstick.distance(moments_of_rows(drawn, rng.permutation(len(drawn))[:size]))
        for size in sizes
    ]
    _, at_zero = np.polyfit(1 / sizes, distances, 1)
    return float(at_zero)
