"""Frechet distances from the held-out pictures, on the features of one network.

Each set has equally many pictures, because the distance falls with their number. So the numbers are
beside each other: real training pictures are the floor, what the dVAE leaves of a picture (rFD) is
the least that drawings can hope for, and the training picture of the nearest caption is what
drawing nothing at all would give.
"""

from collections.abc import Mapping

import numpy as np

from schemas.metric_value import ReferenceSet, Reported
from schemas.run_report.networks_part import DistanceFromHeldOut, PictureSet
from stages.features import FeatureExtractor, Features
from stages.features.networks import INCEPTION
from stages.metrics.frechet_interval import frechet_interval
from stages.metrics.moments import Moments

FEWEST = 4  # pictures, of which halves still have a covariance
SEED = 0


def distances(
    extractor: FeatureExtractor,
    held_out: Features,
    reference: ReferenceSet,
    sets: Mapping[PictureSet, Features],
) -> dict[PictureSet, DistanceFromHeldOut]:
    """Return the distance of each set, of as many pictures as the smallest has."""
    enough = {name: features for name, features in sets.items() if len(features) >= FEWEST}
    if len(held_out) < FEWEST or not enough:
        return {}
    moments, count = Moments.of(held_out), min(map(len, enough.values()))
    return {
        name: _distance(extractor, moments, reference, evenly(features, count))
        for name, features in enough.items()
    }


def evenly(features: Features, count: int) -> Features:
    """Return `count` of the pictures, taken evenly from first to last."""
    return features[np.arange(count) * len(features) // count]


def _distance(
    extractor: FeatureExtractor, moments: Moments, reference: ReferenceSet, features: Features
) -> DistanceFromHeldOut:
    estimate = frechet_interval(moments, features, SEED)
    name = "fid" if extractor.network.name == INCEPTION else "fd"

    def reported(metric: str, value: float, **how: object) -> Reported:
        made = {
            "metric": metric,
            "value": value,
            "network": extractor.network,
            "reference": reference,
            "resize": extractor.resize,
            "count": len(features),
            "depends_on_count": metric == name,
            "parameters": {"convention": extractor.convention},
        }
        return Reported.model_validate(made | how)

    return DistanceFromHeldOut(
        at_count=reported(name, estimate.at_count),
        without_bias=reported(
            f"{name}_without_bias",
            estimate.without_bias,
            interval=(estimate.low, estimate.high),
            seed=SEED,
        ),
    )
