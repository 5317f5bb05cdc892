"""The pictures of a run that a feature network looks at, and their features."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple, Self

import numpy as np

from schemas.folder import Folder
from schemas.metric_value import ReferenceSet
from schemas.run_report.networks_part import PictureSet
from stages.evaluate.baselines.drawings import KeptPrompt
from stages.evaluate.reconstructions import Captioned, captioned_at
from stages.features import FeatureExtractor, Features
from stages.metrics.planted import PLANTED, flipped
from stages.pictures import Pixels, decode

TRAINING = 4_096  # training pictures, the first ones: a fair sample
COPIED = 64  # of these, of which copies are planted
AT_ONCE = 256  # training pictures in memory


@dataclass(frozen=True)
class PictureSets:
    """Pictures at the training side. Drawings are in the order of their `prompts`."""

    held_out: Sequence[Pixels]  # empty where no pictures were held out
    reconstructions: Sequence[Pixels]  # of the held-out ones
    prompts: Sequence[str]
    first: Sequence[Pixels]  # drawing for each prompt
    favourite: Sequence[Pixels]
    nearest: Sequence[Pixels]  # training pictures of the nearest captions
    clean: Folder  # the training pictures
    side: int

    @classmethod
    def of(
        cls,
        kept: Sequence[KeptPrompt],
        nearest: Sequence[Pixels | None],
        held_out: Sequence[tuple[Pixels, Pixels]],
        clean: Folder,
        side: int,
    ) -> Self:
        """Gather them; `held_out` has each picture with its reconstruction.

        Prompts are left out whose pictures were forgotten.
        """
        drawn = [
            (prompt.text, decode(prompt.first), decode(prompt.favourite))
            for prompt in kept
            if prompt.first is not None and prompt.favourite is not None
        ]
        return cls(
            held_out=[original for original, _ in held_out],
            reconstructions=[made for _, made in held_out],
            prompts=[text for text, _, _ in drawn],
            first=[first for _, first, _ in drawn],
            favourite=[favourite for _, _, favourite in drawn],
            nearest=[picture for picture in nearest if picture is not None],
            clean=clean,
            side=side,
        )

    @property
    def reference(self) -> ReferenceSet:
        """Return what distances are measured from: the held-out pictures."""
        digests = (hashlib.sha256(picture.tobytes()).digest() for picture in self.held_out)
        sha256 = hashlib.sha256(b"".join(digests)).hexdigest()
        return ReferenceSet(name="held-out pairs", sha256=sha256, count=len(self.held_out))


class EitherWay(NamedTuple):
    """Features of pictures, and of their mirror images."""

    as_they_are: Features
    mirrored: Features


@dataclass(frozen=True)
class SeenSets:
    """What one network sees of all pictures; sets without any picture are left out."""

    held_out: EitherWay
    sets: Mapping[PictureSet, Features]
    mirrored: Mapping[PictureSet, Features]  # of the drawings
    planted: Mapping[str, EitherWay]  # copies of training pictures, by kind
    training_places: Sequence[int]  # rows of the training pairs


def see_all(extractor: FeatureExtractor, pictures: PictureSets) -> SeenSets:
    """Look at every picture; there must be held-out ones."""
    places, training, copied = _training(extractor, pictures)
    drawn: dict[PictureSet, Sequence[Pixels]] = {
        "first": pictures.first,
        "favourite": pictures.favourite,
    }
    others: dict[PictureSet, Sequence[Pixels]] = {
        "reconstructions": pictures.reconstructions,
        "nearest": pictures.nearest,
        **drawn,
    }
    seen = {name: _see(extractor, some) for name, some in others.items() if len(some)}
    return SeenSets(
        held_out=_either_way(extractor, pictures.held_out),
        sets={"training": training, **seen},
        mirrored={name: _mirrored(extractor, some) for name, some in drawn.items() if len(some)},
        planted={
            kind: _either_way(extractor, [plant(own) for own in copied])
            for kind, plant in PLANTED.items()
        },
        training_places=places,
    )


def _training(
    extractor: FeatureExtractor, pictures: PictureSets
) -> tuple[list[int], Features, list[Pixels]]:
    """Return places and features of training pictures, and the first few of these pictures."""
    found = captioned_at(pictures.clean, pictures.side, range(TRAINING))
    places: list[int] = []
    features: list[Features] = []
    copied: list[Pixels] = []
    for some in iter(partial(_some, found), []):
        places += [place for place, _ in some]
        features.append(_see(extractor, [own for _, own in some]))
        copied += [own for _, own in some][: COPIED - len(copied)]
    return places, np.concatenate(features), copied


def _some(found: Iterator[tuple[int, Captioned]]) -> list[tuple[int, Pixels]]:
    return [(place, own.pixels) for place, own in islice(found, AT_ONCE)]


def _see(extractor: FeatureExtractor, pictures: Sequence[Pixels]) -> Features:
    return extractor.see(pictures).features


def _mirrored(extractor: FeatureExtractor, pictures: Sequence[Pixels]) -> Features:
    return _see(extractor, [flipped(picture) for picture in pictures])


def _either_way(extractor: FeatureExtractor, pictures: Sequence[Pixels]) -> EitherWay:
    return EitherWay(_see(extractor, pictures), _mirrored(extractor, pictures))
