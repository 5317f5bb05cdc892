"""Statistics of token shards, added up over any number of files."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from pipelines.inspect_tokens.repeats import Repeats, hashes
from pipelines.inspect_tokens.token_shards import (
    UNREADABLE,
    ShardSet,
    TokenShard,
    TokenShards,
    describe_error,
    read_footers,
    row_groups,
)
from schemas import rows
from schemas.errors import SchemaMismatch
from schemas.folder import Folder
from schemas.settings import TokenSpec
from stages.models.codebook import CodebookHealth, codebook_health
from stages.progress import Progress
from stages.threads import in_threads

THREADS = 2  # decoding keeps two cores busy, and each thread has a row group in memory


@dataclass(frozen=True)
class ShardCounts:
    """Statistics of one shard."""

    lengths: np.ndarray  # texts by length
    codes: np.ndarray  # uses of each code
    keys: np.ndarray  # hashes of the keys
    contents: np.ndarray  # hashes of each row's text and codes


@dataclass(frozen=True)
class TokenCounts:
    """Statistics of all good shards."""

    shards: TokenShards
    lengths: np.ndarray
    codes: np.ndarray
    keys: Repeats
    contents: Repeats

    @property
    def first(self) -> TokenShard:
        """A shard that shares its metadata with all others."""
        return self.shards.good[0]

    @property
    def bytes(self) -> int:
        return sum(shard.bytes for shard in self.shards.good)

    @property
    def image_bytes(self) -> int:
        return sum(shard.image_bytes for shard in self.shards.good)

    @cached_property
    def codebook(self) -> CodebookHealth:
        return codebook_health(torch.from_numpy(self.codes))

    @property
    def entropy(self) -> float:
        """Bits per code if codes were independent."""
        return math.log2(self.codebook.perplexity)


def count_tokens(found: ShardSet) -> TokenCounts:
    """Count everything in the shards, two at a time; broken ones are named in the result."""
    shards = read_footers(found)
    spec = shards.good[0].header.spec if shards.good else TokenSpec()
    lengths = np.zeros(spec.text_len + 1, np.int64)
    codes = np.zeros(spec.image_vocab, np.int64)
    keys, contents = Repeats(shards.rows), Repeats(shards.rows)
    broken: dict[str, str] = {}

    def count(shard: TokenShard) -> ShardCounts | str:
        try:
            return _count(found.folder, shard)
        except UNREADABLE as error:
            return describe_error(error)

    with Progress("inspect", shards.rows) as progress:
        counted = in_threads(count, shards.good, THREADS)
        for shard, counts in zip(shards.good, counted, strict=True):
            progress.advance(shard.rows)
            if isinstance(counts, str):
                broken[shard.name] = counts
                continue
            lengths += counts.lengths
            codes += counts.codes
            keys.add(counts.keys)
            contents.add(counts.contents)
    return TokenCounts(shards.without(broken), lengths, codes, keys, contents)


def _count(folder: Folder, shard: TokenShard) -> ShardCounts:
    lengths = np.zeros(shard.header.spec.text_len + 1, np.int64)
    codes = np.zeros(shard.header.spec.image_vocab, np.int64)
    keys, contents = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for group in row_groups(folder, shard.name):  # whole, for damage may be in any column
        for name in group.column_names:
            if group[name].null_count:  # the elements of a list cannot be null by their type
                raise SchemaMismatch(f"'{name}' has nulls, where every row must have a value")
        text, image = rows.matrix(group["text"]), rows.matrix(group["image"])
        length = group["text_length"].to_numpy()
        _check_ids(text, length, image, shard.header.spec)
        lengths += np.bincount(length, minlength=len(lengths))
        codes += np.bincount(image.reshape(-1), minlength=len(codes))
        keys.append(hashes(key.encode() for key in group["key"].to_pylist()))
        contents.append(hashes(np.concatenate([text, image], axis=1)))
    return ShardCounts(lengths, codes, np.concatenate(keys), np.concatenate(contents))


def _check_ids(text: np.ndarray, length: np.ndarray, image: np.ndarray, spec: TokenSpec) -> None:
    """Raise SchemaMismatch for an id outside its vocabulary, or a pad out of place."""
    for what, found, most in (
        ("text_length", length, spec.text_len),
        ("image code", image, spec.image_vocab - 1),
    ):
        if found.size and found.max() > most:
            raise SchemaMismatch(f"{what} {found.max()} is out of range, must be <= {most}")
    is_text = np.arange(spec.text_len) < length[:, None]
    if not np.where(is_text, text < spec.text_vocab, text == spec.text_vocab).all():
        raise SchemaMismatch(
            f"text is not text_length ids below {spec.text_vocab}, then pads of {spec.text_vocab}"
        )
