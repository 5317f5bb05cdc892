"""Which picture was drawn for which caption: by name, single or the best of several candidates.

Pictures are flat (`NAME.png`) or candidates (`NAME/0.png`, `NAME/1.png`, ...). Which names are
meant, for MS-COCO those of files, pictures or captions, is what finds the most captions. Drawings
of a run are found by their prompts.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.score.caption_files import column, stem, table_rows
from pipelines.score.caption_set import Caption, CaptionSet
from pipelines.score.picture_set import SCORES, PictureSet, TablePictures
from pipelines.score.problems import Problem, problem
from schemas.errors import ConfigError
from stages.data.parquet import NAME_COLUMNS
from stages.hashing import hash_bits
from stages.storage import is_file, reaching, system_of

SCORES_FILE = "scores.jsonl"  # beside the candidates
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
class Offered:
    """What there is to choose from for each caption, and how it was found."""

    layout: str
    called: str  # what pictures are called by, in words
    own: Mapping[Caption, str]  # what the caption itself is called then
    candidates: Mapping[Caption, Sequence[Candidate]]

    @property
    def found(self) -> int:
        return sum(map(bool, self.candidates.values()))


def without_captions(source: PictureSet) -> DrawnPictures:
    """Take every picture of a set, in a random order that depends on the names alone.

    The Inception Score cuts pictures into splits as they come, and folders are sorted by class.
    """
    names = sorted(source.names, key=lambda name: (hash_bits(name), name))
    return DrawnPictures(source, tuple(Pair(name, None) for name in names), "all pictures", 1)


def drawings(
    source: PictureSet,
    captions: CaptionSet,
    best_of: int | None,
    scores: Mapping[str, float] | None,
) -> DrawnPictures:
    """Find the picture of each caption, the best of its first `best_of` candidates by score.

    None is the best of all, or the first one where there are no scores. A tie is the first one's.
    Raises ConfigError if no caption has a picture, or if there is a choice and no scores.
    """
    offered = offer(source, captions)
    if best_of is None:
        most = max(number for some in offered.candidates.values() for number, _ in some) + 1
        best_of = 1 if offered.layout == FLAT or scores is None else most
    if best_of > 1 and (offered.layout == FLAT or scores is None):
        raise ConfigError(
            f"--best-of {best_of}: wanted candidates {CANDIDATES}, NAME/1.png, ... in "
            f"'{source.name}' and their scores in {SCORES_FILE} there, found "
            f"{'single pictures' if offered.layout == FLAT else 'no scores'}; add them, or leave "
            "it at 1"
        )
    within = {
        one: _first(some, offered.layout, best_of) for one, some in offered.candidates.items()
    }
    pairs = [
        Pair(_best(some, scores if best_of > 1 else None), caption)
        for caption, some in within.items()
        if some
    ]
    problems = _problems(source, offered, within, best_of)
    if best_of > 1 and scores is not None:
        unscored = (n for some in within.values() for _, n in some if stem(n) not in scores)
        problems += problem("no_score", unscored)
    return DrawnPictures(source, tuple(pairs), offered.called, best_of, tuple(problems))


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
    offered: Offered,
    within: Mapping[Caption, Sequence[Candidate]],
    best_of: int,
) -> list[Problem]:
    own, every = offered.own, offered.candidates.values()
    used = {name for some in every for _, name in some}
    flat = offered.layout == FLAT
    more = (name for some in every for _, name in some[1:] if flat)
    few = (own[one] for one, some in within.items() if 0 < len(some) < best_of and not flat)
    return [
        *problem("no_picture", (own[one] for one, some in within.items() if not some)),
        *problem("no_caption", (name for name in source.names if name not in used)),
        *problem("doubled_picture", more),
        *problem("few_candidates", few),
    ]


def offer(source: PictureSet, captions: CaptionSet) -> Offered:
    """Find what was drawn for each caption; raise ConfigError if there is nothing for any."""
    if isinstance(source, TablePictures) and source.prompts:
        best, wanted = _by_prompt(source, captions), "of the prompts that are given"
    else:
        best = max(_by_names(source, captions), key=lambda one: one.found)
        names = " or ".join(dict.fromkeys(captions.captions[0].names))
        wanted = f"that are called as captions are, such as {names}"
    if not best.found:
        raise ConfigError(
            f"{source.flag}: wanted pictures {wanted}, in '{source.name}', found "
            f"{source.names[0]} and {len(source.names) - 1:,} more, none of which is; rename them "
            "(`pipelines.score --list` writes the names that are wanted), or give other captions"
        )
    return best


def _by_names(source: PictureSet, captions: CaptionSet) -> Iterator[Offered]:
    """Yield what is found by each layout and each scheme of names."""
    for layout in (FLAT, CANDIDATES):
        index = _index(source.names, layout)
        for scheme, words in enumerate(captions.schemes):
            own = {one: one.names[scheme] for one in captions.captions}
            found = {one: sorted(index.get(normal(name), ())) for one, name in own.items()}
            yield Offered(layout, f"{layout}, NAME is {words}", own, found)


def _by_prompt(source: TablePictures, captions: CaptionSet) -> Offered:
    """Find a run's drawings; captions of the same words get its prompts of these words in turn."""
    numbers: dict[str, dict[str, list[Candidate]]] = defaultdict(lambda: defaultdict(list))
    for name, prompt in source.prompts.items():
        number, _, candidate = name.rpartition("/")
        numbers[prompt.strip()][number].append((int(candidate), name))
    waiting = {prompt: iter(found.values()) for prompt, found in numbers.items()}
    found = {one: sorted(next(waiting.get(one.text, iter(())), ())) for one in captions.captions}
    own = {one: one.names[0] for one in captions.captions}
    return Offered(CANDIDATES, "candidates of a run, by their prompt", own, found)


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
    place = f"{address.rstrip('/')}/{SCORES_FILE}"
    with reaching(place, source.flag):
        system, path = system_of(place)
        if not is_file(system, path):
            return None
    rows = table_rows(place, "--best-of")
    picture, score = (column(rows, names, place, "--best-of") for names in (NAME_COLUMNS, SCORES))
    try:
        return {stem(str(row[picture])): float(row[score]) for row in rows}
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"--best-of: wanted a number for each {score} in '{place}', found {error}; mend it"
        ) from error
