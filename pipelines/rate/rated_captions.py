"""The captions that are rated: from a file that names their pictures, or the prompts of runs."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from pipelines.rate.rated_systems import FavouritesOfRun, RatedSystem
from pipelines.rate.rating_plan import RatedCaption
from schemas.errors import ConfigError
from stages.pictures import SUFFIXES
from stages.storage import opened, reaching


def read_captions(path: str) -> list[RatedCaption]:
    """Read .jsonl, a caption a line; raise ConfigError for anything else."""
    with reaching(path, "--captions"), opened(path) as file:
        data = file.read()
    found = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").split("\n"), start=1):
        if line.strip():
            found.append(_captioned(line, f"line {number} of {path}"))
    return _once(found, path)


def _captioned(line: str, where: str) -> RatedCaption:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    values = [row.get(name) if isinstance(row, dict) else None for name in ("picture", "caption")]
    picture, caption = (value.strip() if isinstance(value, str) else "" for value in values)
    if not picture or not caption:
        raise ConfigError(
            f'wanted {{"picture": "NAME.png", "caption": "..."}} in {where}, found '
            f"'{line.strip()[:200]}'; mend it"
        )
    return RatedCaption(without_ending(picture), caption)


def without_ending(name: str) -> str:
    """Return the name of a picture without the ending of its format."""
    ending = Path(name).suffix
    return name.removesuffix(ending) if ending.lower() in SUFFIXES else name


def _once(found: Sequence[RatedCaption], path: str) -> list[RatedCaption]:
    """Return the captions; raise ConfigError if there are none, or two for one picture."""
    if not found:
        raise ConfigError(f"wanted captions in {path}, found none; give another file")
    key, times = Counter(one.key for one in found).most_common(1)[0]
    if times > 1:
        raise ConfigError(
            f"wanted one caption a picture in {path}, found {times} for '{key}'; keep one of them"
        )
    return list(found)


def prompts_of_runs(systems: Sequence[RatedSystem]) -> list[RatedCaption]:
    """Return what all the runs drew; raise ConfigError if one is no run, or drew other prompts."""
    runs = [system for system in systems if isinstance(system, FavouritesOfRun)]
    for system in systems:
        if system not in runs:
            raise ConfigError(
                f"wanted --captions FILE, which says what the pictures in {system.source} are to "
                "show, found none; give it"
            )
    for one, other in permutations(runs, 2):
        drawn = set(other.prompts)
        only = next((prompt for prompt in one.prompts if prompt not in drawn), None)
        if only is not None:
            raise ConfigError(
                f'wanted runs that drew the same prompts, found "{only}" in {one.source} and not '
                f"in {other.source}; give --captions with those that both drew"
            )
    return [RatedCaption(prompt, prompt) for prompt in runs[0].prompts]
