"""The report's numbers as plain functions of arrays: no files, no models, no world."""

import math
from collections.abc import Sequence

import numpy as np

Z_95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


def wilson(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
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


def paired(before: Sequence[bool], after: Sequence[bool]) -> tuple[float, float]:
    """Return by how much a share grew, and the standard error of that, member by member.

    The members are the same before and after, so those that stay as they were add no noise.
    """
    change = np.asarray(after, float) - np.asarray(before, float)
    error = change.std(ddof=1) / math.sqrt(len(change)) if len(change) > 1 else 0.0
    return float(change.mean()), float(error)


def chance(right: np.ndarray) -> float:
    """Return the accuracy of pictures handed out at random.

    `right[i, j]`: would the picture drawn for prompt j do for prompt i? The mean over all i != j is
    what a shuffle of the pictures scores on average, with no luck of one shuffle in it.
    """
    count = len(right)
    if count < 2:
        return 0.0
    return float((right.sum() - np.trace(right)) / (count * (count - 1)))
