"""Rows that papers published, from published.toml: shown beside ours, and marked as published."""

import tomllib
from functools import cache
from pathlib import Path

from pipelines.score.score_file import PublishedRow

FILE = Path(__file__).with_name("published.toml")


def published(dataset: str | None) -> tuple[PublishedRow, ...]:
    """Return the rows of a set of captions; none for one that no paper has."""
    return tuple(row for row in _all() if row.dataset == dataset)


@cache
def _all() -> tuple[PublishedRow, ...]:
    rows = tomllib.loads(FILE.read_text())["rows"]
    return tuple(PublishedRow.model_validate(row) for row in rows)
