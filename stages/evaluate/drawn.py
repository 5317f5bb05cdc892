"""The drawn pictures, prompt by prompt, in one pass that holds one prompt at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from schemas.artifacts import SAMPLES
from schemas.folder import Inputs
from stages.evaluate.reading import rows

TABLE = "table/"
COLUMNS = ["prompt_id", "prompt", "set", "seed", "candidate", "clip_score", "rank", "png"]


@dataclass(frozen=True)
class Candidate:
    """One drawn picture."""

    candidate: int
    seed: int
    rank: int
    clip_score: float
    png: bytes | None  # None where sample was told to forget it


@dataclass(frozen=True)
class Prompt:
    """A prompt and all that was drawn for it, CLIP's favourite first."""

    prompt_id: int
    text: str
    set: str
    ranked: tuple[Candidate, ...]

    @property
    def first(self) -> Candidate:
        """Return what a user without reranking gets: the first candidate drawn."""
        return min(self.ranked, key=lambda drawn: drawn.candidate)

    def best_of(self, count: int) -> Candidate:
        """Return CLIP's favourite among the first `count` candidates drawn."""
        return next(drawn for drawn in self.ranked if drawn.candidate < count)


def prompts(inputs: Inputs) -> Iterator[Prompt]:
    """Yield every prompt with its candidates; the rows of a prompt lie together in one shard."""
    table = rows(inputs.folder(SAMPLES), TABLE, COLUMNS)
    for (prompt_id, text, kind), group in groupby(table, key=_prompt_of):
        ranked = sorted((_candidate(row) for row in group), key=lambda drawn: drawn.rank)
        yield Prompt(prompt_id, text, kind, tuple(ranked))


def _prompt_of(row: dict[str, Any]) -> tuple[int, str, str]:
    return row["prompt_id"], row["prompt"], row["set"]


def _candidate(row: dict[str, Any]) -> Candidate:
    return Candidate(row["candidate"], row["seed"], row["rank"], row["clip_score"], row["png"])
