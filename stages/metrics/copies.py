"""Does the model copy? Nearest training pictures of drawings, against those of held-out pictures.

Held-out pictures copy nothing, so how near they come to training pictures is how near chance comes.
A drawing that is closer to a training picture than any held-out one ever is, is suspect; of
drawings like the held-out pictures, 1 in 100 is below the 1st percentile of these. What tells a
copy from what is merely alike lies between the held-out pictures and copies that were planted
(planted.py makes them). Thresholds are calibrated: planted copies must be found, and held-out
pictures must not. Where a corpus repeats itself, held-out pictures are as close to training
pictures as copies are; what then tells is how many drawings are, against how many held-out
pictures.

Dimensions: n pictures, d features.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from schemas.run_report.networks_part import Criterion
from stages.metrics.feature_arrays import Features, check_pair, pair_blocks, squared_distances

# Which percentile of the held-out pictures' distances a suspect one is below.
BY_HELD_OUT: Mapping[Criterion, float] = {"closer_than_any": 0.0, "closer_than_1st_percentile": 1.0}
AS_PLANTED: Criterion = "as_close_as_planted"
PLANTED_PERCENTILE = 99.0  # of the planted copies that are the farthest from their originals

Shares = dict[Criterion, float]
Thresholds = dict[Criterion, float]
Distances = Float[np.ndarray, " n"]


class Nearest(NamedTuple):
    """The training picture that is nearest to each of some pictures, and how far it is."""

    place: Int[np.ndarray, " n"]
    distance: Distances


@dataclass(frozen=True)
class Copying:
    """How near drawings come to training pictures, and what is suspiciously near."""

    drawn: Nearest
    thresholds: Thresholds

    @property
    def shares(self) -> Shares:
        """The share of suspect drawings, by each criterion."""
        return shares_below(self.drawn.distance, self.thresholds)

    def most_suspect(self, count: int) -> Int[np.ndarray, " count"]:
        """Return which drawings are nearest to a training picture, the nearest first."""
        return np.argsort(self.drawn.distance, kind="stable")[:count]


class Calibration(NamedTuple):
    """What the criteria are worth: planted copies found, by kind, and honest pictures accused."""

    found: dict[str, Shares]
    false_alarms: Shares


def calibrate(planted: Mapping[str, Distances], held_out: Distances, seed: int) -> Calibration:
    """Try thresholds that one random half of all pictures sets on the other half, both ways round.

    `planted` are distances of copies of training pictures, by kind.
    """
    rng = np.random.default_rng(seed)
    honest = np.array_split(rng.permutation(held_out), 2)
    copies = {kind: np.array_split(rng.permutation(own), 2) for kind, own in planted.items()}
    below = [
        thresholds(half, [halves[n] for halves in copies.values()]) for n, half in enumerate(honest)
    ]
    return Calibration(
        {kind: _tried(halves, below) for kind, halves in copies.items()}, _tried(honest, below)
    )


def _tried(halves: Sequence[Distances], below: Sequence[Thresholds]) -> Shares:
    """Return the shares below the thresholds, each half by those that the other half set."""
    by_half = [shares_below(half, of) for half, of in zip(halves, reversed(below), strict=True)]
    return {name: float(np.mean([shares[name] for shares in by_half])) for name in by_half[0]}


def thresholds(held_out: Distances, planted: Collection[Distances]) -> Thresholds:
    """Return below which distance a picture is suspect, by each criterion.

    `planted` are distances of copies, an array for each kind: the farthest kind counts. Where its
    99th percentile is below the 1st of the held-out pictures, copies and others lie apart, and the
    threshold half way between them misses no copy that is a little farther than these.
    """
    found = {name: float(np.percentile(held_out, of)) for name, of in BY_HELD_OUT.items()}
    farthest = max(float(np.percentile(own, PLANTED_PERCENTILE)) for own in planted)
    honest = max(farthest, found["closer_than_1st_percentile"])
    return {**found, AS_PLANTED: (farthest + honest) / 2}


def shares_below(distances: Distances, found: Mapping[Criterion, float]) -> Shares:
    """Return which share of distances is below the threshold of each criterion."""
    return {name: float((distances < threshold).mean()) for name, threshold in found.items()}


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
