"""The count, mean and covariance of features that come batch by batch, in float64.

Blocks are joined as in Chan, Golub and LeVeque (1983), which never subtracts large numbers that are
nearly equal: the order and the size of the batches change nothing but the last digits.

Dimensions: n pictures, d features.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from jaxtyping import Float

from schemas.errors import UserError
from stages.metrics.feature_arrays import Features, blocks, check_features, check_same_width

AT_ONCE = 4_096  # rows: joining two blocks costs as much as a thousand rows of 2,048 features


@dataclass
class Moments:
    """How many features were added, their mean, and how they scatter around it."""

    count: int = 0
    mean: Float[np.ndarray, " d"] = field(default_factory=lambda: np.zeros(0))
    # The sum of the outer products of all deviations from the mean.
    scatter: Float[np.ndarray, "d d"] = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def of(cls, features: Features) -> Self:
        """Return the moments of features that are all there."""
        moments = cls()
        moments.add(features)
        return moments

    def add(self, features: Features) -> None:
        """Add the features of some pictures. Raises UserError if one of them is not finite."""
        check_features(features, fewest=0)
        for rows in blocks(len(features), AT_ONCE):
            values = features[rows].astype(np.float64)
            mean = values.mean(axis=0)
            deviations = values - mean
            self.merge(Moments(len(values), mean, deviations.T @ deviations))

    def merge(self, other: "Moments") -> None:
        """Add what another one has seen. Raises UserError if it is of another network."""
        if other.count == 0:
            return
        if self.count == 0:
            self.mean, self.scatter = np.zeros_like(other.mean), np.zeros_like(other.scatter)
        check_same_width(len(self.mean), len(other.mean))
        total = self.count + other.count
        away = other.mean - self.mean
        self.scatter += other.scatter
        self.scatter += np.outer(away, away * (self.count * other.count / total))
        self.mean += away * (other.count / total)
        self.count = total

    def without(self, part: "Moments") -> "Moments":
        """Return the moments of the other pictures, if those of `part` are among these.

        Digits are lost if these are few: of one tenth, one.
        """
        count = self.count - part.count
        mean = self.mean + (self.mean - part.mean) * (part.count / count)
        away = part.mean - mean
        between = np.outer(away, away * (count * part.count / self.count))
        return Moments(count, mean, self.scatter - part.scatter - between)

    @property
    def covariance(self) -> Float[np.ndarray, "d d"]:
        """The unbiased covariance, divided by n - 1. Raises UserError below two pictures."""
        if self.count < 2:
            raise UserError(
                f"a covariance needs at least 2 pictures, found {self.count}: give more pictures"
            )
        return self.scatter / (self.count - 1)
