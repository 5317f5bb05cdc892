"""The Inception Score (Salimans et al. 2016): are pictures like one class each, of many classes?

It looks at no reference. It grows with the number of pictures, so compare it at equal counts.

Dimensions: n pictures, c classes.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy.special import rel_entr, softmax

from schemas.errors import UserError
from stages.metrics.feature_arrays import check_features

ROUNDING = 1e-3  # by which probabilities in float16 may miss a sum of 1


def probabilities_of(logits: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """Return the softmax of each row, in float64."""
    check_features(logits)
    found: Float[np.ndarray, "n c"] = softmax(logits.astype(np.float64), axis=1)
    return found


def inception_score(probabilities: Float[np.ndarray, "n c"], splits: int) -> tuple[float, float]:
    """Return exp(mean KL(p(class | picture) || p(class))), as a mean over splits, and their spread.

    As in the original code, splits are consecutive pictures, so shuffle those that come in an
    order, and the spread is the standard deviation with divisor `splits`: no standard error.
    """
    check_features(probabilities, fewest=splits)
    if splits < 1:
        raise UserError(f"an Inception Score needs at least 1 split, found {splits}: give 10")
    sums = probabilities.sum(axis=1, dtype=np.float64)
    if probabilities.min() < 0 or abs(sums - 1).max() > ROUNDING:
        raise UserError(
            f"probabilities must be 0 or more and add up to 1 for each picture; found a least of "
            f"{probabilities.min():.3g} and sums from {sums.min():.3g} to {sums.max():.3g}: "
            "give logits to probabilities_of first"
        )
    cuts = [len(probabilities) * split // splits for split in range(splits + 1)]
    scores = [_of_split(probabilities[start:stop]) for start, stop in pairwise(cuts)]
    return float(np.mean(scores)), float(np.std(scores))


def _of_split(probabilities: Float[np.ndarray, "n c"]) -> float:
    values = probabilities.astype(np.float64)
    return float(np.exp(rel_entr(values, values.mean(axis=0)).sum(axis=1).mean()))
