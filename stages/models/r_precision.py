"""R-precision: how often a picture finds its own caption among a hundred.

Dimensions: p pairs of a picture and its caption, d features.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

CANDIDATES = 100  # captions that a picture chooses from, its own among them, as is usual
SHUFFLES, BY_LUCK = 199, 0.025  # of the pictures, and the share of shuffles that may do as well


class RPrecision(NamedTuple):
    """Which pictures found their caption, and the share that a random choice would find."""

    found: Bool[np.ndarray, " p"]
    chance: float


def r_precision(scores: Float[np.ndarray, "p p"], captions: Sequence[str]) -> RPrecision:
    """Rank each picture's caption among others, always the same ones; a tie counts as missed.

    `scores[i, j]` is picture i with caption j. Captions of the same words are not compared, so a
    corpus of few different captions has fewer than CANDIDATES, and chance is higher: the mean of
    1 / n over pictures that choose from n captions.
    """
    rivals = _rivals(tuple(captions))
    found = [
        bool((scores[own, others] < scores[own, own]).all()) for own, others in enumerate(rivals)
    ]
    return RPrecision(np.array(found, bool), _chance(rivals))


def r_precision_of_features(
    pictures: Float[np.ndarray, "p d"], texts: Float[np.ndarray, "p d"], captions: Sequence[str]
) -> RPrecision:
    """Rank as `r_precision` does, by products of features: for more pairs than p x p has room."""
    rivals = _rivals(tuple(captions))
    found = []
    for own, (others, picture) in enumerate(zip(rivals, pictures, strict=True)):
        # not a matrix product, where equal rows may differ in the last bit and so be no tie
        scores = (texts[np.append(others, own)] * picture).sum(axis=1)
        found.append(bool((scores[:-1] < scores[-1]).all()))
    return RPrecision(np.array(found, bool), _chance(rivals))


def _chance(rivals: Sequence[Int[np.ndarray, " _"]]) -> float:
    return float(np.mean([1 / (1 + len(others)) for others in rivals]))


def found_by_luck(scores: Float[np.ndarray, "p p"], captions: Sequence[str]) -> float:
    """Return the R-precision that scores blind to the pictures exceed in 2.5 % of cases.

    A permutation test: pictures swap their captions, always in the same ways. Unlike chance this
    also holds for scores that prefer some captions whatever the picture: where these captions are
    common, that alone finds many.
    """
    wins = np.zeros(scores.shape, bool)  # picture i finds caption j among j's rivals
    for own, others in enumerate(_rivals(tuple(captions))):
        wins[:, own] = (scores[:, others] < scores[:, [own]]).all(axis=1)
    places = np.tile(np.arange(len(wins)), (SHUFFLES, 1))
    swapped = np.random.default_rng(0).permuted(places, axis=1)
    shares = wins[places, swapped].mean(axis=1)
    return float(np.sort(shares)[-round(BY_LUCK * (SHUFFLES + 1))])


@lru_cache(maxsize=1)
def _rivals(captions: tuple[str, ...]) -> list[Int[np.ndarray, " r"]]:
    """Draw for each picture the indices of captions whose words differ from its own."""
    plain = [" ".join(caption.casefold().split()) for caption in captions]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(plain))}
    words = np.array([numbers[text] for text in plain])
    return [
        np.random.default_rng(number).permutation(np.flatnonzero(words != own))[: CANDIDATES - 1]
        for number, own in enumerate(words)
    ]
