"""Whether drawings are closer to training pictures than pictures are that copy none.

`stages/metrics/copies.py` says what is compared. Whether that means anything is measured on copies
that are planted: where a network does not find these, it cannot tell a copy from a picture that is
merely alike.
"""

from typing import NamedTuple

import numpy as np

from schemas.run_report.networks_part import CopyFigures, CopyShare, Criterion
from stages.evaluate.by_network.picture_sets import EitherWay, SeenSets
from stages.evaluate.intervals import wilson
from stages.features import Features
from stages.metrics.copies import CRITERIA, Copying, Nearest, calibrate, nearest_either_way

SEED = 0
SUSPECTS = 8  # drawings that are shown
FOUND = 0.95  # of planted copies of each kind, for a share that means something
USUAL: Criterion = "closer_than_1st_percentile"


class Suspect(NamedTuple):
    """A favourite by its place among the prompts, and the row of the training picture beside it."""

    prompt: int
    training: int
    distance: float


def memorisation(seen: SeenSets) -> tuple[CopyFigures, list[Suspect]]:
    """Compare drawings with training pictures; return the closest favourites too."""
    training = seen.sets["training"]
    held_out = _nearest(seen.held_out, training)
    drawn = {
        name: Copying(_nearest(EitherWay(seen.sets[name], mirrored), training), held_out)
        for name, mirrored in seen.mirrored.items()
    }
    planted = {kind: _nearest(copies, training) for kind, copies in seen.planted.items()}
    found, false_alarms = calibrate(planted, held_out, SEED)
    closest = drawn["favourite"].drawn
    suspects = [
        Suspect(int(i), seen.training_places[closest.place[i]], float(closest.distance[i]))
        for i in drawn["favourite"].most_suspect(SUSPECTS)
    ]
    figures = CopyFigures(
        training_pictures=len(training),
        held_out_pictures=len(held_out.distance),
        thresholds={
            name: float(np.percentile(held_out.distance, percent))
            for name, percent in CRITERIA.items()
        },
        drawings=len(closest.distance),
        drawn={name: _with_intervals(own) for name, own in drawn.items()},
        planted_pictures=len(planted["exact"].distance),
        planted=found,
        false_alarms=false_alarms,
        suspects=(),
        words="",
    )
    return figures.model_copy(update={"words": in_words(figures)}), suspects


def _nearest(pictures: EitherWay, training: Features) -> Nearest:
    return nearest_either_way(*pictures, training)


def _with_intervals(found: Copying) -> dict[Criterion, CopyShare]:
    count = len(found.drawn.distance)
    return {
        name: CopyShare(share=share, interval=wilson(share * count, count))
        for name, share in found.shares.items()
    }


def in_words(figures: CopyFigures) -> str:
    """Say what the share of suspect favourites means, by what was found of planted copies."""
    planted = {kind: shares[USUAL] for kind, shares in figures.planted.items()}
    said = (
        f"{100 * figures.drawn['favourite'][USUAL].share:.1f} % of the favourites are closer to "
        "a training picture than 99 of 100 held-out pictures are; of pictures that copy nothing, "
        "1 % would be."
    )
    if min(planted.values()) >= FOUND:
        return f"{said} Of planted copies of every kind, at least {100 * FOUND:.0f} % are found so."
    named = ", ".join(
        f"{100 * share:.0f} % of the {kind} ones"
        for kind, share in planted.items()
        if share < FOUND
    )
    return (
        f"{said} Of planted copies, only {named} are found so: to this network, pictures that are "
        "merely alike are as close as these, so it cannot rule out copies of that kind."
    )
