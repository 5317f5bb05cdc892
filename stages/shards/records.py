"""Data classes of a shard: the work to do, its result, and the results of all shards."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.artifacts import STATS
from schemas.manifest import FileDigest, Record, Result

ATTEMPTS = "attempts/"
MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Shard:
    """One piece of work: a stable name, a small picklable payload, and its size if known."""

    name: str
    payload: Any
    rows: int = 1  # only for the progress bar


def evenly(rows: int, shards: int) -> list[int]:
    """Divide rows among shards whose own are not known, so that they add up."""
    return [(n + 1) * rows // shards - n * rows // shards for n in range(shards)]


@dataclass(frozen=True)
class Made:
    """What the work on one shard returns; the files are committed for it. They may have no rows."""

    files: Mapping[str, bytes]
    rows_in: int
    rows_out: int
    rejects: Mapping[str, int] = field(default_factory=dict)
    health: Mapping[str, Any] = field(default_factory=dict)


class ShardStats(Record):
    """The content of `stats/<name>.json`: a function of the shard alone, so without times."""

    name: str
    rows_in: int
    rows_out: int
    rejects: dict[str, int]
    health: dict[str, Any]
    files: dict[str, FileDigest]
    quarantined: bool = False  # no worker could make it, so what `instead` makes stands here


@dataclass(frozen=True)
class Outcome:
    """All shards' statistics in the order the shards were given, and every committed file."""

    stats: tuple[ShardStats, ...]
    files: dict[str, FileDigest]

    @property
    def rows_in(self) -> int:
        return sum(stats.rows_in for stats in self.stats)

    @property
    def rows_out(self) -> int:
        return sum(stats.rows_out for stats in self.stats)

    @property
    def quarantined(self) -> tuple[str, ...]:
        return tuple(stats.name for stats in self.stats if stats.quarantined)

    @property
    def rejects(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for stats in self.stats:
            total.update(stats.rejects)
        return dict(sorted(total.items()))

    def result(self, **changes: Any) -> Result:
        """Return the stage's result: the sums over all shards, but for what `changes` says."""
        names = ("rows_in", "rows_out", "rejects", "files", "quarantined")
        return Result(**{name: getattr(self, name) for name in names} | changes)


def stats_file(name: str) -> str:
    """Return the file whose existence means that the shard is finished."""
    return f"{STATS}{name}.json"
