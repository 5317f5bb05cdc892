"""The text tokenizer: lower-cased byte-level byte-pair encoding (section 2.2 of the paper).

Any text can be encoded and decoded, because all 256 bytes are in the vocabulary. Words never merge
across spaces, and every word includes the space before it, also the first. The vocabulary has no
special tokens: the pad id is the vocabulary's size, and no caption can contain it.
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

from stages.models.bpe_dropout import merge_with_dropout

CACHED = 2**15  # words, and ways to merge one, that are cached: some 30 MB
SHORT = 24  # bytes; longer words are too rare to cache

WordIds = tuple[int, ...]


class Encoded(NamedTuple):
    """A caption as ids of fixed length."""

    ids: UInt16[np.ndarray, " T"]  # pads at the end
    length: int  # without pads
    truncated: bool


class Bpe:
    """A trained tokenizer of `vocab` ids; `pad`, the next one, fills captions up."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.vocab = self.pad = tokenizer.get_vocab_size()
        self._tokenizer = tokenizer
        model = json.loads(tokenizer.to_str())["model"]
        self._id: dict[str, int] = model["vocab"]
        # (left id, right id) -> (how early it was learned, id of both together)
        self._merges = {
            (self._id[left], self._id[right]): (rank, self._id[left + right])
            for rank, (left, right) in enumerate(model["merges"])
        }
        # captions repeat their words, and a short word can be split in few ways
        self._cached_split = lru_cache(CACHED)(self._split)
        self._cached_merges = lru_cache(CACHED)(self._merged_once)

    def __reduce__(self) -> tuple[type["Bpe"], tuple[Tokenizer]]:
        """Pickle without the caches."""
        return Bpe, (self._tokenizer,)

    @classmethod
    def from_json(cls, text: str) -> "Bpe":
        """Load the output of `to_json`."""
        return cls(Tokenizer.from_str(text))

    def to_json(self) -> str:
        """Return the format of the `tokenizers` library; other programs must lower-case first."""
        return self._tokenizer.to_str(pretty=True)

    def encode(self, caption: str, dropout: float = 0.0, seed: int = 0) -> list[int]:
        """Return a caption's ids, however many.

        With dropout (BPE-dropout, see `bpe_dropout`) each merge is skipped with that probability
        whenever it could be next, so the same caption has many encodings; the seed decides which.
        """
        text = " " + caption.lower()
        if dropout == 0:
            return self._tokenizer.encode(text).ids
        # the library has dropout too, but its random numbers cannot be seeded
        chance = random.Random(seed)
        return [i for word in self._words(text) for i in self._merge(word, dropout, chance.random)]

    def encode_padded(
        self, caption: str, text_len: int, dropout: float = 0.0, seed: int = 0
    ) -> Encoded:
        """Return exactly `text_len` ids of a caption: truncated, or padded at the end."""
        every = self.encode(caption, dropout, seed)
        kept = every[:text_len]
        row = np.full(text_len, self.pad, np.uint16)
        row[: len(kept)] = kept
        return Encoded(row, len(kept), truncated=len(every) > text_len)

    def decode(self, ids: Iterable[int] | UInt16[np.ndarray, " T"]) -> str:
        """Return the lower-cased caption of some ids; pads are skipped."""
        return self._tokenizer.decode([int(i) for i in ids if i != self.pad]).removeprefix(" ")

    def _words(self, text: str) -> Iterable[WordIds]:
        """Split a text into words, each as the ids of its bytes."""
        parts = [f" {part}" for part in text.split()]
        if text != "".join(parts):
            return self._split(text)
        # where all blanks are single spaces, words end at them and can be split one by one
        split = (self._cached_split(p) if len(p) <= SHORT else self._split(p) for p in parts)
        return itertools.chain.from_iterable(split)

    def _split(self, text: str) -> tuple[WordIds, ...]:
        words = self._tokenizer.pre_tokenizer.pre_tokenize_str(text)
        return tuple(tuple(self._id[byte] for byte in word) for word, _ in words)

    def _merge(self, ids: WordIds, dropout: float, draw: Callable[[], float]) -> WordIds:
        """Merge a word's bytes as `merge_with_dropout` does, from the cache if it is short."""
        if len(ids) > SHORT:
            return merge_with_dropout(ids, self._merges, dropout, draw)
        while True:
            for merged in self._cached_merges(ids):
                if draw() >= dropout:
                    ids = merged
                    break
            else:
                return ids

    def _merged_once(self, ids: WordIds) -> tuple[WordIds, ...]:
        """Return the word after each merge that is possible now, the earliest learned first."""
        possible = sorted(
            (*self._merges[pair], place)
            for place, pair in enumerate(itertools.pairwise(ids))
            if pair in self._merges
        )
        return tuple((*ids[:place], merged, *ids[place + 2 :]) for _, merged, place in possible)


def train_bpe(captions: Iterable[str], vocab: int) -> Bpe:
    """Train a tokenizer of exactly `vocab` ids; those that a small corpus cannot fill stay unused.

    The same captions give the same tokenizer, whatever their order.
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
    # the letters that stand for bytes include no blank, so no caption contains these
    unused = {f"unused {number}": number for number in range(len(model["vocab"]), vocab)}
    merges = [(left, right) for left, right in model["merges"]]
    tokenizer = Tokenizer(BPE(vocab=model["vocab"] | unused, merges=merges))
    tokenizer.pre_tokenizer = learned.pre_tokenizer
    tokenizer.decoder = ByteDecoder()
    return Bpe(tokenizer)
