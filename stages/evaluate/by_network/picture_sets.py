"""The pictures of a run that a feature network looks at, and their features."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Self

import numpy as np
from jaxtyping import UInt64

from schemas.folder import Folder
from schemas.metric_value import ReferenceSet
from schemas.run_report.networks_part import PictureSet
from stages.evaluate.baselines.drawings import KeptPrompt
from stages.evaluate.by_network.near_duplicates import hashes_of
from stages.evaluate.reconstructions import Captioned, captioned_at
from stages.features import FeatureExtractor, Features
from stages.metrics.planted import brightened
from stages.pictures import Pixels, decode

TRAINING = 4_096  # training pictures, the first ones: a fair sample
COPIED = 128  # of these, of which copies are planted
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


@dataclass(frozen=True)
class SeenSets:
    """What one network sees of all pictures; sets without any picture are left out."""

    held_out: Features
    sets: Mapping[PictureSet, Features]
    brightened: Features | None  # the training pictures, if copies are looked for
    training_places: Sequence[int]  # rows of the training pairs
    training_hashes: UInt64[np.ndarray, " n"]
    copied: Sequence[Pixels]  # the first few of the training pictures


@dataclass
class TrainingSeen:
    """What one network sees of the training pictures while they pass."""

    extractor: FeatureExtractor
    copies: bool  # are looked for
    own: list[Features] = field(default_factory=list)
    brighter: list[Features] = field(default_factory=list)

    def add(self, own: Sequence[Pixels], brighter: Sequence[Pixels]) -> None:
        """Look at some pictures, and at these brightened where copies are looked for."""
        self.own.append(see(self.extractor, own))
        if self.copies:
            self.brighter.append(see(self.extractor, brighter))


def see_all(
    networks: Sequence[tuple[FeatureExtractor, bool]], pictures: PictureSets
) -> Iterator[SeenSets]:
    """Yield what each network sees, which looks for copies or does not.

    There must be held-out pictures. Training pictures are read and decoded once for all networks,
    AT_ONCE at a time.
    """
    every = [TrainingSeen(extractor, copies) for extractor, copies in networks]
    places: list[int] = []
    hashes: list[UInt64[np.ndarray, " n"]] = []
    copied: list[Pixels] = []
    found = captioned_at(pictures.clean, pictures.side, range(TRAINING))
    for some in iter(partial(_some, found), []):
        own = [pixels for _, pixels in some]
        places += [place for place, _ in some]
        brighter: list[Pixels] = []
        if any(one.copies for one in every):
            brighter = [brightened(pixels) for pixels in own]
            hashes.append(hashes_of(own))
            copied += own[: COPIED - len(copied)]
        for one in every:
            one.add(own, brighter)
    for one in every:
        yield SeenSets(
            held_out=see(one.extractor, pictures.held_out),
            sets={"training": np.concatenate(one.own), **_others(one.extractor, pictures)},
            brightened=np.concatenate(one.brighter) if one.copies else None,
            training_places=places,
            training_hashes=np.concatenate(hashes) if hashes else np.zeros(0, np.uint64),
            copied=copied,
        )


def _others(extractor: FeatureExtractor, pictures: PictureSets) -> dict[PictureSet, Features]:
    """Look at the other pictures but the held-out ones; sets without any are left out."""
    sets: dict[PictureSet, Sequence[Pixels]] = {
        "reconstructions": pictures.reconstructions,
        "nearest": pictures.nearest,
        "first": pictures.first,
        "favourite": pictures.favourite,
    }
    return {name: see(extractor, some) for name, some in sets.items() if len(some)}


def see(extractor: FeatureExtractor, pictures: Sequence[Pixels]) -> Features:
    return extractor.see(pictures).features


def _some(found: Iterator[tuple[int, Captioned]]) -> list[tuple[int, Pixels]]:
    return [(place, own.pixels) for place, own in islice(found, AT_ONCE)]
