"""The training picture whose caption is nearest in words: the simplest thing that does drawing."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice

import numpy as np
from jaxtyping import Int

from schemas.artifacts import TRAIN
from schemas.folder import Folder
from stages.data.parquet import read_rows
from stages.evaluate.reconstructions import captioned_at
from stages.hashing import hash_bits
from stages.pictures import Pixels

CAPTIONS = 65_536  # training captions to choose from, the first ones: a fair sample


class NearestCaption:
    """Finds the caption that shares the largest part of its words with a text.

    The part is Jaccard's (1912): words in common, over words in either. Neither order nor number of
    words counts. Among equally near captions, a hash of the text chooses.
    """

    def __init__(self, captions: Sequence[str]) -> None:
        self.captions = captions

    @cached_property
    def _rows_of(self) -> Mapping[str, Int[np.ndarray, " r"]]:
        rows: dict[str, list[int]] = {}
        for row, caption in enumerate(self.captions):
            for word in words(caption):
                rows.setdefault(word, []).append(row)
        return {word: np.array(found) for word, found in rows.items()}

    @cached_property
    def _sizes(self) -> Int[np.ndarray, " c"]:
        return np.array([len(words(caption)) for caption in self.captions])

    def __call__(self, text: str) -> int:
        """Return the place of the nearest caption."""
        asked, common = words(text), np.zeros(len(self.captions), np.int64)
        for word in asked & self._rows_of.keys():
            common[self._rows_of[word]] += 1
        part = common / np.maximum(len(asked) + self._sizes - common, 1)
        nearest = np.flatnonzero(part == part.max())
        return int(nearest[hash_bits(text) % len(nearest)])


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def nearest_pictures(clean: Folder, side: int, prompts: Sequence[str]) -> list[Pixels | None]:
    """Return the picture of the training pair that is nearest to each prompt.

    None for a prompt whose picture training left out too.
    """
    captions = [row["caption"] for row in islice(read_rows(clean, TRAIN, ["caption"]), CAPTIONS)]
    nearest = NearestCaption(captions)
    places = [nearest(prompt) for prompt in prompts]
    found = {place: own.pixels for place, own in captioned_at(clean, side, set(places))}
    return [found.get(place) for place in places]
