"""The captions that pictures are drawn for, and the seeded choice of some of them."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.score.problems import Problem, problem
from schemas.errors import ConfigError
from stages.hashing import hash_bits


@dataclass(frozen=True)
class Caption:
    """A caption, and what its picture may be called: one name for each scheme of its set."""

    text: str
    names: tuple[str, ...]  # without ending
    picture: str | None = None  # the reference picture that the caption was written for


@dataclass(frozen=True)
class CaptionSet:
    """Captions of one source; `schemes` says in words what the names of each caption are."""

    name: str
    sha256: str
    format: str
    schemes: tuple[str, ...]
    captions: tuple[Caption, ...]
    listed: int  # captions of the source, before any was left out or chosen
    problems: tuple[Problem, ...] = ()
    one_each: bool = False  # one caption of each picture is drawn, not all of them


def chosen(found: CaptionSet, count: int | None, seed: int) -> CaptionSet:
    """Choose `count` captions (None: all) in a random order, one of each picture if so wanted.

    The choice depends on the seed and the captions' own names alone, not on their order. Raises
    ConfigError if there are fewer than `count`.
    """

    def luck(caption: Caption) -> tuple[Any, ...]:
        own = f"{caption.names[0]}/{caption.text}"
        return hash_bits(f"{seed}/{own}"), own, caption.names[-1]

    captions = _one_each(found.captions, luck) if found.one_each else found.captions
    if not captions or len(captions) < (count or 0):
        each = " of different pictures" if found.one_each else ""
        raise ConfigError(
            f"--count: wanted {count or 1:,} captions{each}, found {len(captions):,} in "
            f"'{found.name}'; ask for fewer, or give another file"
        )
    kept = sorted(captions, key=luck)[:count]
    return replace(
        found,
        captions=tuple(kept),
        problems=(*found.problems, *problem("doubled_caption", doubled(kept))),
    )


def _one_each(
    captions: Sequence[Caption], luck: Callable[[Caption], tuple[Any, ...]]
) -> list[Caption]:
    of_picture = defaultdict(list)
    for caption in captions:
        of_picture[caption.picture].append(caption)
    return [min(some, key=luck) for some in of_picture.values()]


def doubled(captions: Sequence[Caption]) -> list[str]:
    """Name the captions whose words an earlier one has."""
    seen: set[str] = set()
    found = []
    for caption in captions:
        if caption.text in seen:
            found.append(caption.names[0])
        seen.add(caption.text)
    return found


def lines(found: CaptionSet) -> bytes:
    """Return the captions as JSONL, for whoever draws them; it can be scored against as it is.

    `sample.prompts` reads it too: the pictures of a run are then called by the numbers of rows.
    """
    rows = [
        {"picture": one.names[0], "prompt": one.text, "dataset": found.format}
        for one in found.captions
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
