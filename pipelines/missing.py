"""Refuse a run whose source is not named; a plan does without."""

from collections.abc import Sequence

from pipelines.planner import Step
from schemas.artifacts import PAIRS
from schemas.errors import ConfigError
from schemas.settings import Settings
from stages.crawl.sources import SOURCES


def unnamed_source(settings: Settings, steps: Sequence[Step]) -> str:
    """Ask for the crawl's missing source in a sentence; empty if it is named."""
    source = settings.crawl.source
    crawls = any(step.stage.writes == PAIRS and step.runs for step in steps)
    wanted = SOURCES[source.kind].wants
    if not crawls or source.path or not wanted:
        return ""
    return f"crawl.source.kind={source.kind} needs crawl.source.path, found none; name {wanted}"


def require_source(settings: Settings, steps: Sequence[Step]) -> None:
    """Raise ConfigError if the crawl runs and has nothing to read."""
    if sentence := unnamed_source(settings, steps):
        raise ConfigError(sentence)
