"""What other stages left: drawn pictures and training logs, a few at a time."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter, itemgetter

from schemas import rows
from schemas.artifacts import METRICS, SAMPLES
from schemas.folder import Folder, Inputs
from schemas.settings import RankBy
from stages.data.parquet import Row, row_groups
from stages.models.ranking import best_first, is_flat
from stages.pictures import decode

# columns of one drawn picture
DRAWN = ("candidate", "seed", "rank", "clip_score", "log_likelihood", "png")
PROMPT = ("prompt_id", "prompt", "set")  # and of all for one prompt


def metrics(folder: Folder) -> list[dict[str, float]]:
    """Return the training log of an artifact, one dict per line; empty if it has none.

    A run that was resumed may have written a step twice: the later line counts.
    """
    if not folder.exists(METRICS):
        return []
    with folder.open(METRICS) as file:
        lines = [json.loads(line) for line in file.read().splitlines() if line.strip()]
    return [{k: float(v) for k, v in line.items() if isinstance(v, int | float)} for line in lines]


def curves(log: Sequence[dict[str, float]]) -> dict[str, list[tuple[float, float]]]:
    """Turn a training log into one (step, value) line per scalar, without repeated steps."""
    lines: dict[str, dict[float, float]] = {}
    for entry in log:
        for name, value in entry.items():
            if name not in ("step", "seconds") and "step" in entry and math.isfinite(value):
                lines.setdefault(name, {})[entry["step"]] = value
    return {name: sorted(points.items()) for name, points in lines.items()}


@dataclass(frozen=True)
class Candidate:
    """One drawn picture."""

    candidate: int
    seed: int
    rank: int
    clip_score: float
    log_likelihood: float  # by the prior, in nats
    png: bytes | None  # None where sample was told to forget it

    @cached_property
    def is_flat(self) -> bool:
        """Say whether it is of one colour; a forgotten picture counts as none."""
        return self.png is not None and is_flat(decode(self.png))


@dataclass(frozen=True)
class DrawnPrompt:
    """A prompt and all that was drawn for it, the best first."""

    prompt_id: int
    text: str
    set: str
    ranked: tuple[Candidate, ...]

    @property
    def first(self) -> Candidate:
        """Return what a user without reranking gets: the first candidate drawn."""
        return min(self.ranked, key=lambda drawn: drawn.candidate)

    def best_by(self, rank_by: RankBy) -> Candidate:
        """Return what this way to rank takes, whatever the run ranked by."""
        drawn = sorted(self.ranked, key=attrgetter("candidate"))
        scores, nats = [one.clip_score for one in drawn], [one.log_likelihood for one in drawn]
        return drawn[best_first(scores, nats, [one.is_flat for one in drawn], rank_by)[0]]

    def best_of(self, count: int) -> Candidate:
        """Return the favourite among the first `count` candidates drawn."""
        return next(drawn for drawn in self.ranked if drawn.candidate < count)


def prompts(inputs: Inputs) -> Iterator[DrawnPrompt]:
    """Yield every prompt with its candidates; the rows of a prompt lie together in one shard."""
    for (number, text, kind), group in groupby(_rows(inputs), key=itemgetter(*PROMPT)):
        drawn = (Candidate(*itemgetter(*DRAWN)(row)) for row in group)
        yield DrawnPrompt(number, text, kind, tuple(sorted(drawn, key=attrgetter("rank"))))


def _rows(inputs: Inputs) -> Iterator[Row]:
    """Yield the rows of the samples; raise SchemaMismatch for those of another revision."""
    folder = inputs.folder(SAMPLES)
    for name in folder.list("table/"):
        for group in row_groups(folder, name, (*PROMPT, *DRAWN), schema=rows.SAMPLE):
            yield from group.to_pylist()
