"""R-precision: how often a picture finds its own caption among a hundred.

Dimensions: p pairs of a picture and its caption.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

CANDIDATES = 100  # captions that a picture chooses from, its own one among them: the field's usual


class Retrieval(NamedTuple):
    """Which pictures found their caption, and the share of them that a blind choice would."""

    found: Bool[np.ndarray, " p"]
    chance: float


def r_precision(scores: Float[np.ndarray, "p p"], captions: Sequence[str]) -> Retrieval:
    """Hide each picture's caption among others, always the same ones; a tie counts as missed.

    `scores[i, j]` is picture i with caption j. Captions of the same words are no rivals, so where
    few read differently there are fewer to choose from, and chance is higher.
    """
    names = np.asarray(captions)
    found, among = [], []
    for number, own in enumerate(names):
        others = np.flatnonzero(names != own)
        others = np.random.default_rng(number).permutation(others)[: CANDIDATES - 1]
        found.append(bool((scores[number, others] < scores[number, number]).all()))
        among.append(1 + len(others))
    return Retrieval(np.array(found), float(1 / np.mean(among)))
