"""Compare two encodings of one corpus row by row.

Rows are joined by key within each file of clean_pairs, so only a few row groups are in memory
however the shards were cut. Keys that lie under another file in the other encoding are counted
apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa

from pipelines.inspect_tokens.repeats import hashes
from pipelines.inspect_tokens.token_shards import (
    UNREADABLE,
    ShardSet,
    TokenShard,
    describe_error,
    read_footers,
    row_groups,
)
from schemas import rows
from schemas.errors import ArtifactMissing, SchemaMismatch
from stages.progress import Progress

COLUMNS = ("caption", "text", "image", "crop")
GROUPS_KEPT = 4  # row groups of the other encoding; rows are in nearly the same order
EXAMPLES = 5


@dataclass
class Difference:
    """Counts of equal and different rows of two encodings."""

    broken: dict[str, str]
    metadata: dict[str, tuple[str, str]]
    rows: int = 0  # in both
    only_one: int = 0
    only_other: int = 0
    elsewhere: int = 0  # in both, under different files of clean_pairs: not compared
    columns: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0))
    codes: int = 0  # compared
    other_codes: int = 0
    examples: list[tuple[str, str, str]] = field(default_factory=list)  # key, caption, what differs

    @property
    def equal(self) -> bool:
        """Whether every row was compared and is the same."""
        apart = self.only_one + self.only_other + self.elsewhere + sum(self.columns.values())
        return not (apart or self.broken)


def compare(one: ShardSet, other: ShardSet) -> Difference:
    """Compare all rows; raise ArtifactMissing if either has no readable shard."""
    both, shards = (one, other), (read_footers(one), read_footers(other))
    broken: dict[str, str] = {}
    for found, part in zip(both, shards, strict=True):
        if not part.good:
            raise ArtifactMissing(f"wanted token shards in {found.folder.url}, found none to read")
        broken |= {f"{found.folder.url}/{name}": why for name, why in part.broken.items()}
    difference = Difference(broken, shards[0].good[0].header.differences(shards[1].good[0].header))
    left, right = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    by_source: tuple[dict[str, list[TokenShard]], ...] = ({}, {})
    for part, sources in zip(shards, by_source, strict=True):
        for shard in part.good:
            sources.setdefault(shard.header.source_shard or shard.name, []).append(shard)
    with Progress("compare", shards[0].rows) as progress:
        for source in sorted(by_source[0].keys() | by_source[1].keys()):
            rows_there = _RowIndex(other, by_source[1].get(source, []))
            for shard in by_source[0].get(source, []):
                for group in _read(one, shard.name):
                    left.append(_compare_group(group, rows_there, difference))
                    progress.advance(len(group))
            right.append(hashes(key.encode() for key in rows_there.unseen()))
    alone, other_alone = np.concatenate(left), np.concatenate(right)
    difference.elsewhere = len(np.intersect1d(alone, other_alone))
    difference.only_one = len(alone) - difference.elsewhere
    difference.only_other = len(other_alone) - difference.elsewhere
    return difference


def _read(
    found: ShardSet, name: str, columns: Sequence[str] | None = None, *, first: int = 0
) -> Iterator[pa.Table]:
    try:
        yield from row_groups(found.folder, name, columns, first=first)
    except UNREADABLE as error:
        raise SchemaMismatch(
            f"{found.folder.url}/{name} is broken ({describe_error(error)}); `--verify` names all "
            "that are, and how to make them again"
        ) from error


class _RowIndex:
    """Where the rows of one file of clean_pairs are in the other encoding, by key."""

    def __init__(self, found: ShardSet, shards: list[TokenShard]) -> None:
        self.groups: list[tuple[str, int]] = []
        self.places: dict[str, tuple[int, int]] = {}
        self.seen: set[str] = set()
        for shard in shards:
            for number, group in enumerate(_read(found, shard.name, ["key"])):
                at = len(self.groups)
                self.groups.append((shard.name, number))
                keys = group["key"].to_pylist()
                self.places |= {key: (at, row) for row, key in enumerate(keys)}

        @lru_cache(GROUPS_KEPT)
        def load(at: int) -> pa.Table:
            name, number = self.groups[at]
            return next(_read(found, name, first=number))

        self.load = load

    def matching(self, keys: list[str]) -> Iterator[tuple[list[int], pa.Table]]:
        """Yield positions in `keys`, and the rows with these keys, a row group at a time."""
        by_group: dict[int, list[tuple[int, int]]] = {}
        for mine, key in enumerate(keys):
            if key in self.places:
                at, row = self.places[key]
                by_group.setdefault(at, []).append((mine, row))
        for at, pairs in by_group.items():
            self.seen.update(keys[mine] for mine, _ in pairs)
            yield [mine for mine, _ in pairs], self.load(at).take([row for _, row in pairs])

    def unseen(self) -> set[str]:
        return self.places.keys() - self.seen


def _compare_group(group: pa.Table, there: _RowIndex, difference: Difference) -> np.ndarray:
    """Compare rows with those of the same keys; return the hashes of keys without any."""
    keys = group["key"].to_pylist()
    alone = set(range(len(keys)))
    for mine, theirs in there.matching(keys):
        _compare_rows(group.take(mine), theirs, difference)
        alone -= set(mine)
    return hashes(keys[place].encode() for place in sorted(alone))


def _compare_rows(one: pa.Table, other: pa.Table, difference: Difference) -> None:
    difference.rows += len(one)
    differs = {name: _unequal(one[name], other[name]) for name in COLUMNS}
    for name, found in differs.items():
        difference.columns[name] += int(found.any(axis=1).sum())
    codes = differs["image"]
    if one["image"].type == other["image"].type:
        difference.codes += codes.size
        difference.other_codes += int(codes.sum())
    anything = np.logical_or.reduce([found.any(axis=1) for found in differs.values()])
    for row in np.flatnonzero(anything)[: EXAMPLES - len(difference.examples)]:
        words = [f"{codes[row].sum():,} of {codes.shape[1]:,} codes"] if codes[row].any() else []
        words += [name for name in COLUMNS if name != "image" and differs[name][row].any()]
        key, caption = one["key"][row].as_py(), one["caption"][row].as_py()
        difference.examples.append((key, caption, ", ".join(words)))


def _unequal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> np.ndarray:
    """Compare elements, as (rows, width) booleans; rows of different widths differ everywhere."""
    if pa.types.is_string(one.type):
        return (one.to_numpy() != other.to_numpy())[:, None]
    if one.type != other.type:
        return np.ones((len(one), one.type.list_size), bool)
    return rows.matrix(one) != rows.matrix(other)
