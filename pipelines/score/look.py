"""Look at one side's pictures with one network, at every blur radius, in one pass over the files.

A picture is cut to its centre square and resized, then blurred, then resized to what the network
reads: so a radius means the same number of pixels on both sides.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from PIL import Image

from pipelines.score.picture_set import PictureSet
from schemas.errors import ConfigError
from stages.features import BATCH, FeatureExtractor, Features, centre_square
from stages.metrics.blur import gaussian_blur
from stages.metrics.moments import Moments
from stages.pictures import PictureError, Pixels, decode
from stages.progress import Progress
from stages.threads import in_threads

AT_ONCE = 32 * BATCH  # rows that are added to the moments at a time, for each addition costs d x d


class PictureFile(NamedTuple):
    """A file that was read: its pixels are None if it is no picture."""

    name: str
    sha256: str
    pixels: Pixels | None


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
) -> Look:
    """Look at these pictures, in their order; raise ConfigError if none can be read."""
    sums = {radius: _Sum(extractor, radius, leaves_out=bool(left_out)) for radius in radii}
    found = Look([], [], [], left_out, np.zeros((0, 0), np.float32), {})
    with Progress(f"{source.name} by {extractor.network.name}", len(names), unit="pictures") as bar:
        for batch in _batches(source, names, side):
            good = [one for one in batch if one.pixels is not None]
            found.unreadable += [one.name for one in batch if one.pixels is None]
            found.names += [one.name for one in good]
            found.digests += [one.sha256 for one in good]
            kept = np.array([one.name not in left_out for one in good], bool)
            for each in sums.values():
                each.add([one.pixels for one in good if one.pixels is not None], kept)
            bar.advance(len(batch))
    if not found.names:
        raise ConfigError(
            f"wanted pictures in '{source.name}', found {len(names):,} files and none that can be "
            f"read, {names[0]} among them; replace them"
        )
    found.blurred = {radius: each.finished() for radius, each in sums.items()}
    found.features = np.concatenate(sums[0].features)
    return found


class _Sum:
    """Adds up what is seen at one radius."""

    def __init__(self, extractor: FeatureExtractor, radius: float, *, leaves_out: bool) -> None:
        self.extractor, self.radius, self.leaves_out = extractor, radius, leaves_out
        self.result = Blurred()
        self.features: list[Features] = []
        self.kept: list[np.ndarray] = []
        self.probabilities: list[Features] = []
        self.added = 0  # batches that are in the moments

    def add(self, pictures: Sequence[Pixels], kept: np.ndarray) -> None:
        if not pictures:
            return
        blurred = in_threads(lambda picture: gaussian_blur(picture, self.radius), pictures, 2)
        seen = self.extractor.see(list(blurred))
        self.features.append(seen.features)
        self.kept.append(kept)
        if seen.probabilities is not None:
            self.probabilities.append(seen.probabilities)
        if sum(map(len, self.features[self.added :])) >= AT_ONCE:
            self._add_to_moments()

    def _add_to_moments(self) -> None:
        features = np.concatenate(self.features[self.added :])
        kept = np.concatenate(self.kept[self.added :])
        self.result.all.add(features)
        if self.leaves_out:
            self.result.rest.add(features[kept])
        if self.radius == 0:
            self.added = len(self.features)
        else:
            self.features, self.kept = [], []

    def finished(self) -> Blurred:
        if self.features[self.added :]:
            self._add_to_moments()
        if self.probabilities:
            self.result.probabilities = np.concatenate(self.probabilities)
        return self.result


def _batches(source: PictureSet, names: Sequence[str], side: int) -> Iterator[list[PictureFile]]:
    """Read and decode in batches. A table is read row by row, so only decoding is in threads."""

    def opened(file: tuple[str, bytes]) -> PictureFile:
        name, data = file
        try:
            pixels = fitted(decode(data), side)
        except PictureError:
            pixels = None
        return PictureFile(name, hashlib.sha256(data).hexdigest(), pixels)

    for start in range(0, len(names), BATCH):
        files = [(name, source.read(name)) for name in names[start : start + BATCH]]
        yield list(in_threads(opened, files, threads=2))


def fitted(picture: Pixels, side: int) -> Pixels:
    """Return the centre square at this side, by Pillow's bicubic filter; side 0 changes nothing."""
    if side == 0:
        return picture
    square = np.ascontiguousarray(centre_square(picture))
    if len(square) == side:
        return square
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC))
