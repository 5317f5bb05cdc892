"""Read the files of pictures in batches, and decode them to the centre square at one side."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from pipelines.score.picture_set import PictureSet
from stages.features import BATCH, centre_square
from stages.pictures import PictureError, Pixels, decode
from stages.threads import in_threads

FILES_AT_ONCE = 8 * BATCH  # in memory


@dataclass(frozen=True)
class PictureFiles:
    """Some files, whose pictures are decoded when they are first asked for."""

    names: Sequence[str]
    contents: Sequence[bytes]
    side: int  # 0: as they are

    @cached_property
    def digests(self) -> list[str]:
        return [hashlib.sha256(content).hexdigest() for content in self.contents]

    @cached_property
    def pixels(self) -> list[Pixels | None]:
        """Return the pictures; None for a file that is none."""
        return list(in_threads(self._decoded, self.contents, threads=2))

    def _decoded(self, content: bytes) -> Pixels | None:
        try:
            return fitted(decode(content), self.side)
        except PictureError:
            return None


def file_batches(source: PictureSet, names: Sequence[str], side: int) -> Iterator[PictureFiles]:
    """Read these pictures batch by batch. A table is read row by row, so not in threads."""
    for start in range(0, len(names), FILES_AT_ONCE):
        some = names[start : start + FILES_AT_ONCE]
        yield PictureFiles(some, [source.read(name) for name in some], side)


def fitted(picture: Pixels, side: int) -> Pixels:
    """Return the centre square at this side, by Pillow's bicubic filter; side 0 changes nothing."""
    if side == 0:
        return picture
    square = np.ascontiguousarray(centre_square(picture))
    if len(square) == side:
        return square
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC))
