"""Does the model copy? Nearest training pictures of drawings, against those of held-out pictures.

Held-out pictures cannot be copies, so how near they come to training pictures is how near chance
comes. A drawing that is closer to a training picture than any held-out one ever is, is suspect; of
drawings like the held-out pictures, 1 in 100 is below the 1st percentile of these. Both need a
calibration: copies that were planted must be found (planted.py makes them), and other
held-out pictures must not.

Dimensions: n pictures, d features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from schemas.run_report.networks_part import Criterion
from stages.metrics.feature_arrays import Features, check_pair, pair_blocks, squared_distances

# Which percentile of the held-out pictures' distances a suspect one is below.
CRITERIA: Mapping[Criterion, float] = {"closer_than_any": 0.0, "closer_than_1st_percentile": 1.0}

Shares = dict[Criterion, float]


class Nearest(NamedTuple):
    """The training picture that is nearest to each of some pictures, and how far it is."""

    place: Int[np.ndarray, " n"]
    distance: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Copying:
    """How near drawings and held-out pictures come to the same training pictures."""

    drawn: Nearest
    held_out: Nearest

    @property
    def shares(self) -> Shares:
        """The share of suspect drawings, by each criterion."""
        return shares_below(self.drawn.distance, self.held_out.distance)

    def most_suspect(self, count: int) -> Int[np.ndarray, " count"]:
        """Return which drawings are nearest to a training picture, the nearest first."""
        return np.argsort(self.drawn.distance, kind="stable")[:count]


class Calibration(NamedTuple):
    """What the criteria are worth: planted copies found, by kind, and honest pictures accused."""

    found: dict[str, Shares]
    false_alarms: Shares


def calibrate(planted: Mapping[str, Nearest], held_out: Nearest, seed: int) -> Calibration:
    """Set the thresholds by a random half of the held-out pictures, and try them on the rest.

    `planted` are copies of training pictures by kind. The other half counts false alarms.
    """
    halves = np.array_split(np.random.default_rng(seed).permutation(held_out.distance), 2)
    known, others = halves
    found = {kind: shares_below(copies.distance, known) for kind, copies in planted.items()}
    return Calibration(found, shares_below(others, known))


def shares_below(distances: Float[np.ndarray, " n"], held_out: Float[np.ndarray, " m"]) -> Shares:
    """Return which share of distances is below the held-out ones' percentile of each criterion."""
    return {
        name: float((distances < np.percentile(held_out, percent)).mean())
        for name, percent in CRITERIA.items()
    }


def nearest_either_way(features: Features, mirrored: Features, training: Features) -> Nearest:
    """Find the training picture that is nearest to each picture or to its mirror image.

    A network sees a mirrored copy as another picture, so nothing else would find it.
    """
    one, other = nearest(features, training), nearest(mirrored, training)
    closer = other.distance < one.distance
    return Nearest(*(np.where(closer, *pair) for pair in zip(other, one, strict=True)))


def nearest(features: Features, training: Features) -> Nearest:
    """Find the nearest training picture of each picture; the first one where several are."""
    check_pair(features, training, fewest=1)
    places, smallest = np.zeros(len(features), int), np.full(len(features), np.inf)
    for rows, columns, ours, theirs in pair_blocks(features, training):
        squared = squared_distances(ours, theirs)
        best = squared.argmin(axis=1)
        found = squared[np.arange(len(best)), best]
        is_closer = found < smallest[rows]
        places[rows] = np.where(is_closer, columns.start + best, places[rows])
        smallest[rows] = np.where(is_closer, found, smallest[rows])
    return Nearest(places, np.sqrt(smallest))
