"""CLIPScore (Hessel et al. 2021): how well pictures fit their captions, by a CLIP.

Dimensions: n pairs, d features.
"""

import math

import numpy as np

from schemas.errors import UserError
from stages.metrics.feature_arrays import Features, check_pair, of_length_one


def clip_score(pictures: Features, captions: Features) -> tuple[float, float]:
    """Return the mean of max(100 cos, 0) over pairs, and its standard error.

    Row i of both is one pair. The scale is the one now in use, 0 to 100; Hessel et al. multiply
    the cosine by 2.5.
    """
    check_pair(pictures, captions)
    if len(pictures) != len(captions):
        raise UserError(
            f"a CLIP score needs a caption for each picture; found {len(pictures)} pictures and "
            f"{len(captions)} captions: give them in pairs"
        )
    cosines = (of_length_one(pictures) * of_length_one(captions)).sum(axis=1)
    scores = np.maximum(100 * cosines, 0)
    return float(scores.mean()), float(scores.std(ddof=1) / math.sqrt(len(scores)))
