"""Whether drawings are closer to training pictures than pictures are that copy none.

`stages/metrics/copies.py` says what is compared. Whether that means anything is measured on copies
that are planted: where a network does not find these, it cannot tell a copy from a picture that is
merely alike. They are told from held-out pictures that are no near duplicates of training pictures;
how many drawings are as close is held against all held-out pictures. A copy may be mirrored, or
brighter than what it copies, so pictures are held against training pictures as they are and
brightened, and in the mirror against both.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from schemas.run_report.networks_part import CopyFigures, CopyShare, Criterion, PictureSet
from stages.evaluate.by_network.near_duplicates import near_duplicates
from stages.evaluate.by_network.picture_sets import PictureSets, SeenSets, see
from stages.evaluate.intervals import wilson
from stages.features import FeatureExtractor, Features
from stages.metrics.copies import (
    AS_PLANTED,
    Copying,
    Nearest,
    calibrate,
    nearest_either_way,
    thresholds,
)
from stages.metrics.planted import PLANTED, flipped
from stages.pictures import Pixels

SEED = 0
SUSPECTS = 8  # drawings that are shown
FEWEST_HONEST = 0.25  # of the held-out pictures; a corpus with more near duplicates is all alike
FALSE_ALARMS = 0.01  # of held-out pictures: with fewer, a copy is told from what is merely alike
DRAWN: tuple[PictureSet, ...] = ("first", "favourite")


class Suspect(NamedTuple):
    """A favourite by its place among the prompts, and the row of the training picture beside it."""

    prompt: int
    training: int
    distance: float


def memorisation(
    extractor: FeatureExtractor, pictures: PictureSets, seen: SeenSets
) -> tuple[CopyFigures, list[Suspect]]:
    """Compare drawings with training pictures; return the closest favourites too."""
    training, places = seen.sets["training"], seen.training_places
    assert seen.brightened is not None, "copies are looked for"
    searched = np.concatenate([training, seen.brightened])

    def nearest(features: Features, own: Sequence[Pixels]) -> Nearest:
        mirrored = see(extractor, [flipped(picture) for picture in own])
        found = nearest_either_way(features, mirrored, searched)
        return found._replace(place=found.place % len(training))

    held_out = nearest(seen.held_out, pictures.held_out)
    drawn = {
        name: nearest(seen.sets[name], own)
        for name, own in zip(DRAWN, (pictures.first, pictures.favourite), strict=True)
    }
    copies = {kind: [plant(own) for own in seen.copied] for kind, plant in PLANTED.items()}
    planted = {kind: nearest(see(extractor, own), own).distance for kind, own in copies.items()}
    repeated = near_duplicates(pictures.held_out, seen.training_hashes)
    if (~repeated).mean() < FEWEST_HONEST:
        repeated[:] = False
    honest = held_out.distance[~repeated]
    found, false_alarms = calibrate(planted, honest, SEED)
    below = thresholds(honest, planted.values())
    compared = {name: Copying(own, below) for name, own in drawn.items()}
    closest = drawn["favourite"]
    suspects = [
        Suspect(int(i), places[closest.place[i]], float(closest.distance[i]))
        for i in compared["favourite"].most_suspect(SUSPECTS)
    ]
    figures = CopyFigures(
        training_pictures=len(training),
        held_out_pictures=len(pictures.held_out),
        near_duplicates=int(repeated.sum()),
        held_out=_with_intervals(Copying(held_out, below)),
        thresholds=below,
        drawings=len(closest.distance),
        drawn={name: _with_intervals(own) for name, own in compared.items()},
        planted_pictures=len(seen.copied),
        planted=found,
        false_alarms=false_alarms,
        suspects=(),
        words="",
    )
    return figures.model_copy(update={"words": in_words(figures)}), suspects


def _with_intervals(found: Copying) -> dict[Criterion, CopyShare]:
    count = len(found.drawn.distance)
    return {
        name: CopyShare(share=share, interval=wilson(share * count, count))
        for name, share in found.shares.items()
    }


def in_words(figures: CopyFigures) -> str:
    """Say what the share of suspect favourites means, by what chance comes to."""
    false_alarms = figures.false_alarms[AS_PLANTED]
    said = (
        f"{_percent(figures.drawn['favourite'][AS_PLANTED].share)} of the favourites are as "
        "close to a training picture as planted copies are to theirs; of held-out pictures, "
        f"which copy nothing, {_percent(figures.held_out[AS_PLANTED].share)} are"
    )
    if figures.near_duplicates:
        said += (
            f", and {_percent(false_alarms)} of those that are no near duplicates of training "
            f"pictures (all but {figures.near_duplicates} of {figures.held_out_pictures})"
        )
    if false_alarms < FALSE_ALARMS:
        return (
            f"{said}. So copies ({', '.join(figures.planted)}) are told from what is merely alike."
        )
    return (
        f"{said}. So there are near duplicates among the pictures, or to this network they are "
        "alike: only a share above that of held-out pictures would point to copying."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
