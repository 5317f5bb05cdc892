"""The order of a prompt's candidates: by CLIP, by the prior's likelihood, or by both.

clip        the cosine of picture and prompt (the paper's, section 2.6)
likelihood  ln p of the picture's codes after the prompt, by the prior
both        the sum of the two, each in units of its own spread among the candidates
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from schemas.settings import RankBy

CALLED: dict[RankBy, str] = {
    "clip": "CLIP",
    "likelihood": "likelihood",
    "both": "CLIP and likelihood",
}


def best_first(
    clip_scores: Sequence[float], log_likelihoods: Sequence[float], rank_by: RankBy
) -> list[int]:
    """Return the places of a prompt's candidates, the best first; equal ones keep their order."""
    match rank_by:
        case "clip":
            scores = np.asarray(clip_scores, float)
        case "likelihood":
            scores = np.asarray(log_likelihoods, float)
        case "both":
            scores = standardised(clip_scores) + standardised(log_likelihoods)
    return np.argsort(-scores, kind="stable").tolist()


def standardised(values: Sequence[float]) -> Float[np.ndarray, " n"]:
    """Shift and scale values to mean 0 and standard deviation 1; equal values to 0."""
    centred = np.asarray(values, float) - np.mean(values)
    return centred / (centred.std() or 1.0)
