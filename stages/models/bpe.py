"""Captions as numbers: lower-cased byte-level byte-pair encoding (section 2.2 of the paper).

Any text can be written and read back, because all 256 bytes are in the alphabet. Words never merge
across spaces, and every word carries the space before it, also the first. There are no special
tokens inside: the pad id is the vocabulary's size, and no caption can contain it.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt16
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from stages.models.merging import spell

KEPT = 2**15  # words and spellings that are remembered, some 30 MB
SHORT = 24  # bytes of a word that is worth it

Spelling = tuple[int, ...]  # of a word, in ids


class Encoded(NamedTuple):
    """A caption as a row of fixed length."""

    ids: UInt16[np.ndarray, " T"]  # then pads
    length: int  # ids that are not pads
    truncated: bool


class Bpe:
    """A learned alphabet of `vocab` ids; `pad`, the next one, stands where there is no token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._use(tokenizer)

    def _use(self, tokenizer: Tokenizer) -> None:
        self.vocab = self.pad = tokenizer.get_vocab_size()
        self._tokenizer = tokenizer
        model = json.loads(tokenizer.to_str())["model"]
        self._id: dict[str, int] = model["vocab"]
        # (left id, right id) -> (how early it was learned, id of both together)
        self._merges = {
            (self._id[left], self._id[right]): (rank, self._id[left + right])
            for rank, (left, right) in enumerate(model["merges"])
        }
        # captions repeat their words, and of a short word there are few spellings
        self._kept_words = lru_cache(KEPT)(self._cut)
        self._kept_ways = lru_cache(KEPT)(self._merged_once)

    def __getstate__(self) -> str:
        """Travel to a worker without what is remembered."""
        return self.to_json()

    def __setstate__(self, text: str) -> None:
        self._use(Tokenizer.from_str(text))

    @classmethod
    def from_json(cls, text: str) -> "Bpe":
        """Read what `to_json` wrote."""
        return cls(Tokenizer.from_str(text))

    def to_json(self) -> str:
        """Write the format of the `tokenizers` library, which other programs read too.

        They must lower-case first.
        """
        return self._tokenizer.to_str(pretty=True)

    def encode(self, caption: str, dropout: float = 0.0, seed: int = 0) -> list[int]:
        """Turn a caption of any length into ids.

        With dropout, each merge is passed over with that probability whenever it could be next, so
        that the same caption is spelled in many ways; the seed alone decides which.
        """
        text = " " + caption.lower()
        if dropout == 0:
            return self._tokenizer.encode(text).ids
        # the library has dropout too, but its random numbers cannot be seeded
        chance = random.Random(seed)
        return [i for word in self._words(text) for i in self._spell(word, dropout, chance.random)]

    def ids(self, caption: str, text_len: int, dropout: float = 0.0, seed: int = 0) -> Encoded:
        """Turn a caption into exactly `text_len` ids: cut off, or filled up with pads."""
        every = self.encode(caption, dropout, seed)
        kept = every[:text_len]
        row = np.full(text_len, self.pad, np.uint16)
        row[: len(kept)] = kept
        return Encoded(row, len(kept), truncated=len(every) > text_len)

    def decode(self, ids: Iterable[int] | UInt16[np.ndarray, " T"]) -> str:
        """Turn ids back into the lower-cased caption; pads are skipped."""
        return self._tokenizer.decode([int(i) for i in ids if i != self.pad]).removeprefix(" ")

    def _words(self, text: str) -> Iterable[Spelling]:
        """Cut a text into words, spelled in bytes; single blanks are always where some part."""
        parts = [f" {part}" for part in text.split()]
        if text != "".join(parts):
            return self._cut(text)
        cut = (self._kept_words(p) if len(p) <= SHORT else self._cut(p) for p in parts)
        return itertools.chain.from_iterable(cut)

    def _cut(self, text: str) -> tuple[Spelling, ...]:
        words = self._tokenizer.pre_tokenizer.pre_tokenize_str(text)
        return tuple(tuple(self._id[byte] for byte in word) for word, _ in words)

    def _spell(self, spelling: Spelling, dropout: float, draw: Callable[[], float]) -> Spelling:
        """Merge the bytes of a word, the earliest learned merge first, some of them passed over."""
        if len(spelling) > SHORT:
            return spell(spelling, self._merges, dropout, draw)
        while True:  # the same, by what is remembered
            for way in self._kept_ways(spelling):
                if draw() >= dropout:
                    spelling = way
                    break
            else:
                return spelling

    def _merged_once(self, spelling: Spelling) -> tuple[Spelling, ...]:
        """Return every way to merge two neighbours, the earliest learned first."""
        possible = sorted(
            (*self._merges[pair], place)
            for place, pair in enumerate(itertools.pairwise(spelling))
            if pair in self._merges
        )
        return tuple(
            (*spelling[:place], merged, *spelling[place + 2 :]) for _, merged, place in possible
        )


def train_bpe(captions: Iterable[str], vocab: int) -> Bpe:
    """Learn an alphabet of exactly `vocab` ids; those that a small corpus cannot fill stay unused.

    The same captions give the same alphabet, whatever their order.
    """
    learned = Tokenizer(BPE())
    learned.pre_tokenizer = ByteLevel(add_prefix_space=True)
    trainer = BpeTrainer(
        vocab_size=vocab,
        min_frequency=2,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    learned.train_from_iterator((" " + caption.lower() for caption in captions), trainer)

    model = json.loads(learned.to_str())["model"]
    # a blank is not among the letters that stand for bytes, so no caption can contain these
    unused = {f"unused {number}": number for number in range(len(model["vocab"]), vocab)}
    merges = [(left, right) for left, right in model["merges"]]
    tokenizer = Tokenizer(BPE(vocab=model["vocab"] | unused, merges=merges))
    tokenizer.pre_tokenizer = learned.pre_tokenizer
    tokenizer.decoder = ByteDecoder()
    return Bpe(tokenizer)
