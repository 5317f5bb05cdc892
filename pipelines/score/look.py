"""Look at one side's pictures with one network, at every blur radius, in one pass over the files.

A picture is cut to its centre square and resized, then blurred, then resized to what the network
reads: so a radius means the same number of pixels on both sides.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from pipelines.score.feature_cache import FeatureCache, SeenFiles, cache_key
from pipelines.score.picture_files import PictureFiles, file_batches
from pipelines.score.picture_set import PictureSet, in_reading_order
from schemas.errors import ConfigError
from stages.features import BATCH, FeatureExtractor, Features
from stages.metrics.blur import gaussian_blur
from stages.metrics.moments import Moments
from stages.progress import Progress
from stages.threads import in_threads

AT_ONCE = 32 * BATCH  # rows that are added to the moments at a time, for each addition costs d x d


@dataclass
class Blurred:
    """What was seen at one radius: moments of all pictures, and of those that are not left out.

    Where nothing is left out, `rest` stays empty.
    """

    all: Moments = field(default_factory=Moments)
    rest: Moments = field(default_factory=Moments)
    probabilities: Float32[np.ndarray, "n k"] | None = None


@dataclass
class Look:
    """One side as one network sees it. Features are kept of unblurred pictures alone."""

    names: list[str]
    digests: list[str]
    unreadable: list[str]
    left_out: Collection[str]
    features: Features
    blurred: dict[float, Blurred]

    @property
    def is_rest(self) -> np.ndarray:
        """Which pictures are not left out."""
        return np.array([name not in self.left_out for name in self.names])

    def sha256(self, *, rest: bool = False) -> str:
        """Return the digest of the list of pictures, by name and content."""
        lines = (
            f"{name} {digest}\n"
            for name, digest in sorted(zip(self.names, self.digests, strict=True))
            if not (rest and name in self.left_out)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def look(
    extractor: FeatureExtractor,
    source: PictureSet,
    names: Sequence[str],
    radii: Sequence[float],
    side: int,
    left_out: Collection[str] = (),
    cache: FeatureCache | None = None,
) -> Look:
    """Look at these pictures; raise ConfigError if none can be read.

    What is found is in their order, though they are read in that of the set.
    """
    sums = {radius: _Sum(leaves_out=bool(left_out), keeps_features=radius == 0) for radius in radii}
    found = Look([], [], [], left_out, np.zeros((0, 0), np.float32), {})
    with Progress(f"{source.name} by {extractor.network.name}", len(names), unit="pictures") as bar:
        for files in file_batches(source, in_reading_order(source, names), side):
            for radius, each in sums.items():
                seen = see(extractor, files, radius, cache)
                good = np.flatnonzero(seen.readable).tolist()
                each.add(seen, np.array([files.names[at] not in left_out for at in good], np.bool_))
            found.unreadable += [files.names[at] for at in np.flatnonzero(~seen.readable).tolist()]
            found.names += [files.names[at] for at in good]
            found.digests += [files.digests[at] for at in good]
            bar.advance(len(files.names))
    if not found.names:
        raise ConfigError(
            f"wanted pictures in '{source.name}', found {len(names):,} files and none that can be "
            f"read, {names[0]} among them; replace them"
        )
    found.blurred = {radius: each.finished() for radius, each in sums.items()}
    found.features = np.concatenate(sums[0].features)
    _put_in_order(found, names)
    return found


def see(
    extractor: FeatureExtractor, files: PictureFiles, radius: float, cache: FeatureCache | None
) -> SeenFiles:
    """Return what a network makes of some files at one radius, from the cache if it is there."""
    if cache is None:
        return _see(extractor, files, radius)
    key = cache_key(extractor, files, radius)
    seen = cache.get(key)
    if seen is None:
        seen = _see(extractor, files, radius)
        cache.put(key, seen)
    return seen


def _see(extractor: FeatureExtractor, files: PictureFiles, radius: float) -> SeenFiles:
    pictures = [one for one in files.pixels if one is not None]
    blurred = in_threads(lambda picture: gaussian_blur(picture, radius), pictures, threads=2)
    readable = np.array([one is not None for one in files.pixels])
    return SeenFiles(readable, extractor.see(list(blurred)) if pictures else None)


def _put_in_order(found: Look, names: Sequence[str]) -> None:
    place = {name: number for number, name in enumerate(names)}
    order = np.argsort([place[name] for name in found.names])
    found.names, found.digests = (
        [some[own] for own in order] for some in (found.names, found.digests)
    )
    found.features = found.features[order]
    for one in found.blurred.values():
        if one.probabilities is not None:
            one.probabilities = one.probabilities[order]


class _Sum:
    """Adds up what is seen at one radius."""

    def __init__(self, *, leaves_out: bool, keeps_features: bool) -> None:
        self.leaves_out, self.keeps_features = leaves_out, keeps_features
        self.result = Blurred()
        self.features: list[Features] = []
        self.kept: list[np.ndarray] = []
        self.probabilities: list[Features] = []
        self.added = 0  # batches that are in the moments

    def add(self, files: SeenFiles, kept: np.ndarray) -> None:
        if files.seen is None:
            return
        self.features.append(files.seen.features)
        self.kept.append(kept)
        if files.seen.probabilities is not None:
            self.probabilities.append(files.seen.probabilities)
        if sum(map(len, self.features[self.added :])) >= AT_ONCE:
            self._add_to_moments()

    def _add_to_moments(self) -> None:
        features = np.concatenate(self.features[self.added :])
        kept = np.concatenate(self.kept[self.added :])
        self.result.all.add(features)
        if self.leaves_out:
            self.result.rest.add(features[kept])
        if self.keeps_features:
            self.added = len(self.features)
        else:
            self.features, self.kept = [], []

    def finished(self) -> Blurred:
        if self.features[self.added :]:
            self._add_to_moments()
        if self.probabilities:
            self.result.probabilities = np.concatenate(self.probabilities)
        return self.result
