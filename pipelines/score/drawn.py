"""Which picture was drawn for which caption: by name, single or the best of several candidates.

Pictures are flat (`NAME.png`) or candidates (`NAME/0.png`, `NAME/1.png`, ...). Which names are
meant, for MS-COCO those of files, pictures or captions, is what finds the most captions.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipelines.score.caption_files import column, read_rows, stem
from pipelines.score.caption_set import Caption, CaptionSet
from pipelines.score.picture_set import SCORE, PictureSet, TablePictures
from pipelines.score.problems import Problem, problem
from schemas.errors import ConfigError
from stages.data.parquet import NAME_COLUMNS

SCORES = "scores.jsonl"  # beside the candidates
FLAT, CANDIDATES = "NAME.png", "NAME/0.png"

Candidate = tuple[int, str]  # its number, and its picture's name


class Pair(NamedTuple):
    """A picture, and the caption it was drawn for; None where no captions are given."""

    picture: str
    caption: Caption | None


@dataclass(frozen=True)
class DrawnPictures:
    """What one system drew: one picture of each caption that has any."""

    source: PictureSet
    pairs: tuple[Pair, ...]
    called: str  # how captions were found
    best_of: int
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Naming:
    """How pictures are called: their layout, and which of a caption's names is meant."""

    layout: str
    scheme: int
    index: Mapping[str, Sequence[Candidate]]

    def candidates(self, caption: Caption) -> list[Candidate]:
        """Return what was drawn for a caption, by number."""
        return sorted(self.index.get(normal(caption.names[self.scheme]), ()))

    def found(self, captions: CaptionSet) -> int:
        return sum(bool(self.candidates(caption)) for caption in captions.captions)


def without_captions(source: PictureSet) -> DrawnPictures:
    """Take every picture of a set."""
    return DrawnPictures(
        source, tuple(Pair(name, None) for name in source.names), "all pictures", 1
    )


def drawings(
    source: PictureSet, captions: CaptionSet, best_of: int, scores: Mapping[str, float] | None
) -> DrawnPictures:
    """Find the picture of each caption, the best of its first `best_of` candidates by score.

    A tie is the first one's. Raises ConfigError if no caption has a picture, or if there is a
    choice and no scores.
    """
    naming = naming_of(source, captions)
    if best_of > 1 and (naming.layout == FLAT or scores is None):
        raise ConfigError(
            f"--best-of {best_of}: wanted candidates {CANDIDATES}, NAME/1.png, ... in "
            f"'{source.name}' and their scores in {SCORES} there, found "
            f"{'single pictures' if naming.layout == FLAT else 'no scores'}; add them, or leave "
            "it at 1"
        )
    offered = {one: naming.candidates(one) for one in captions.captions}
    within = {one: _first(some, naming.layout, best_of) for one, some in offered.items()}
    pairs = [
        Pair(_best(some, scores if best_of > 1 else None), caption)
        for caption, some in within.items()
        if some
    ]
    called = f"{naming.layout}, NAME is {captions.schemes[naming.scheme]}"
    problems = _problems(source, naming, offered, within, best_of)
    if best_of > 1 and scores is not None:
        unscored = (n for some in within.values() for _, n in some if stem(n) not in scores)
        problems += problem("no_score", unscored)
    return DrawnPictures(source, tuple(pairs), called, best_of, tuple(problems))


def _first(candidates: Sequence[Candidate], layout: str, best_of: int) -> list[Candidate]:
    """Return those to choose from: of pictures with one name, the first."""
    if layout == FLAT:
        return list(candidates[:1])
    return [candidate for candidate in candidates if candidate[0] < best_of]


def _best(candidates: Sequence[Candidate], scores: Mapping[str, float] | None) -> str:
    if scores is None:
        return candidates[0][1]
    return min(candidates, key=lambda one: (-scores.get(stem(one[1]), -math.inf), one))[1]


def _problems(
    source: PictureSet,
    naming: Naming,
    offered: Mapping[Caption, Sequence[Candidate]],
    within: Mapping[Caption, Sequence[Candidate]],
    best_of: int,
) -> list[Problem]:
    own = {caption: caption.names[naming.scheme] for caption in offered}
    used = {name for some in offered.values() for _, name in some}
    flat = naming.layout == FLAT
    more = (name for some in offered.values() for _, name in some[1:] if flat)
    few = (own[one] for one, some in within.items() if 0 < len(some) < best_of and not flat)
    return [
        *problem("no_picture", (own[one] for one, some in within.items() if not some)),
        *problem("no_caption", (name for name in source.names if name not in used)),
        *problem("doubled_picture", more),
        *problem("few_candidates", few),
    ]


def naming_of(source: PictureSet, captions: CaptionSet) -> Naming:
    """Return the naming by which the most captions have a picture; the first one of equals.

    Raises ConfigError if none has.
    """
    indexes = {layout: _index(source.names, layout) for layout in (FLAT, CANDIDATES)}
    namings = [
        Naming(layout, scheme, index)
        for layout, index in indexes.items()
        for scheme in range(len(captions.schemes))
    ]
    best = max(namings, key=lambda naming: naming.found(captions))
    if not best.found(captions):
        wanted = " or ".join(dict.fromkeys(captions.captions[0].names))
        raise ConfigError(
            f"--pictures: wanted pictures that are called as captions are, such as {wanted}, in "
            f"'{source.name}', found {source.names[0]} and {len(source.names) - 1:,} more, none of "
            "which is; rename them (--list writes the names that are wanted)"
        )
    return best


def _index(names: Sequence[str], layout: str) -> dict[str, list[Candidate]]:
    """Map what NAME may be, with the folders above it and without, to the pictures of that name."""
    found: dict[str, list[Candidate]] = defaultdict(list)
    for name in names:
        own, number = stem(name), "0"
        if layout == CANDIDATES:
            own, _, number = own.rpartition("/")
        if own and number.isascii() and number.isdigit():
            for key in {normal(own), normal(own.rpartition("/")[2])}:
                found[key].append((int(number), name))
    return found


def normal(name: str) -> str:
    """Return a name without the zeros that a number is padded with."""
    return str(int(name)) if name.isascii() and name.isdigit() else name


def read_scores(source: PictureSet, address: str) -> dict[str, float] | None:
    """Read the scores of candidates, by picture without its ending; None if there are none.

    They are a column of a table, or a file beside pictures. Raises ConfigError for one that cannot
    be read.
    """
    if isinstance(source, TablePictures):
        return {stem(name): score for name, score in source.scores.items()} or None
    path = Path(address) / SCORES
    if not path.is_file():
        return None
    rows = read_rows(path, "--best-of")
    picture, score = (column(rows, names, path, "--best-of") for names in (NAME_COLUMNS, SCORE))
    try:
        return {stem(str(row[picture])): float(row[score]) for row in rows}
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"--best-of: wanted a number for each {score} in '{path}', found {error}; mend it"
        ) from error
