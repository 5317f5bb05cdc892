"""The report's numbers as plain functions of arrays: no files, no models, no world."""

import math

import numpy as np
from scipy.stats import beta

Z_95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


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
    low = beta.ppf(0.025, successes, trials - successes + 1) if successes else 0.0
    high = beta.ppf(0.975, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)


def chance(right: np.ndarray) -> float:
    """Return the accuracy of pictures handed to other prompts than their own.

    `right[i, j]`: would the picture drawn for prompt j do for prompt i? The mean over all i != j
    has no luck of one shuffle in it; it is what a drawer scores who does not read the prompt.
    """
    count = len(right)
    if count < 2:
        return 0.0
    return float((right.sum() - np.trace(right)) / (count * (count - 1)))
