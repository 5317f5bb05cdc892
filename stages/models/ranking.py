"""The order of a prompt's candidates: by CLIP, by the prior's likelihood, or by both.

clip        the cosine of picture and prompt (the paper's, section 2.6)
likelihood  ln p of the picture's codes after the prompt, by the prior
both        the sum of the two, each in units of its own spread among the candidates

The last two put flat pictures last: a picture of background alone is often the likeliest of all,
and no right one is flat, as the filter drops flat pictures before anything is trained.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

from schemas.settings import RankBy
from stages.pictures import Pixels

FLAT = 5.0  # levels, `filter.min_contrast` by default

CALLED: dict[RankBy, str] = {
    "clip": "CLIP",
    "likelihood": "likelihood",
    "both": "CLIP and likelihood",
}


def best_first(
    clip_scores: Sequence[float],
    log_likelihoods: Sequence[float],
    flat: Sequence[bool],
    rank_by: RankBy,
) -> list[int]:
    """Return the places of a prompt's candidates, the best first; equal ones keep their order."""
    cosines, nats = np.asarray(clip_scores, float), np.asarray(log_likelihoods, float)
    if rank_by == "clip":
        return np.argsort(-cosines, kind="stable").tolist()
    scores = np.full(len(nats), -np.inf)
    drawn = ~np.asarray(flat, bool)
    if drawn.any():
        scores[drawn] = nats[drawn]
        if rank_by == "both":
            scores[drawn] = standardised(cosines[drawn]) + standardised(nats[drawn])
    return np.argsort(-scores, kind="stable").tolist()


def is_flat(pixels: Pixels) -> bool:
    """Say whether no colour channel varies, as the filter's rule `flat` does."""
    return bool(cv2.meanStdDev(pixels)[1].max() < FLAT)


def standardised(values: Sequence[float] | Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Shift and scale values to mean 0 and standard deviation 1; equal values to 0."""
    centred = np.asarray(values, float) - np.mean(values)
    return centred / (centred.std() or 1.0)
