"""Which held-out pictures are near duplicates of training pictures, as `filter` looks for them.

A corpus may hold a picture twice: the same pointing hand from the left and from the right. Where
one of them was held out, it is a copy in all but name, and cannot say how close chance comes.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt64

from stages.metrics.planted import flipped
from stages.pictures import Pixels
from stages.pictures.looks import perceptual_hash, whole

NEAR_BITS = 4  # of 64 in which hashes may differ; `filter` allows for 3 of originals


def hashes_of(pictures: Sequence[Pixels]) -> UInt64[np.ndarray, " n"]:
    return np.array([perceptual_hash(whole(pixels)) for pixels in pictures], np.uint64)


def near_duplicates(
    pictures: Sequence[Pixels], training: UInt64[np.ndarray, " m"]
) -> Bool[np.ndarray, " n"]:
    """Say which pictures a training picture's hash is near to, as they are or in the mirror."""
    either_way = zip(
        hashes_of(pictures), hashes_of([flipped(pixels) for pixels in pictures]), strict=True
    )
    apart = [min(np.bitwise_count(training ^ one).min() for one in both) for both in either_way]
    return np.array(apart) <= NEAR_BITS
