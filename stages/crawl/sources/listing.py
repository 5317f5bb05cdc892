"""List a folder: what each file is, by its name or, failing that, by its first bytes.

The rows and the digest of a folder are made of this one listing, so that what is read is what a
fingerprint knows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources.file_names import (
    DOCUMENT_TEXTS,
    TABLES,
    UNKNOWN,
    folded,
    for_another_kind,
    is_document,
    is_table,
    named,
    split_ending,
)
from stages.crawl.sources.folder_tree import Tree, heads, read_tree
from stages.crawl.sources.links import MISSING
from stages.crawl.sources.listed import Row, handle, listed_row, problem_row, shown
from stages.crawl.sources.partners import Names, is_json, partners, second, texts_and_jsons
from stages.crawl.sources.survey import SECOND, Survey
from stages.pictures.forms import HEAD_BYTES, form_of_bytes

LONELY_JSON = "JSON files beside no picture"
ELSEWHERE = "texts in another folder than the picture of their name"
LIKE_CAPTIONS = "files named like a picture, with no ending of captions (.txt is read)"
EMPTY = "empty files"


@dataclass
class Listing:
    """Pictures with their captions, metadata, and what is there in place of some."""

    tree: Tree
    pictures: Names = field(default_factory=dict)  # their stems, the closest first
    metadata: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # `reason: detail` of further rows
    captions: Names = field(default_factory=dict)  # of pictures, the best first
    passed: list[tuple[str, str]] = field(default_factory=list)  # why, and the name

    def to_read(self) -> list[tuple[str, str | None]]:
        """Return the names of all that is read, in order, and where; None: the name alone."""
        captions = {name for found in self.captions.values() for name in found}
        files = {*self.pictures, *captions, *self.metadata} - self.tree.problems.keys()
        problems = self.tree.problems | self.refused
        read = [(name, None) for name in (f"{name} {why}" for name, why in problems.items())]
        return sorted([*read, *((name, self.tree.address(name)) for name in files)])

    def count(self, survey: Survey) -> None:
        survey.found += len(self.pictures)
        for why, name in self.passed:
            survey.pass_over(why, name)


def list_folder(source: SourceSettings) -> Listing:
    """List the folder of the source.

    Raises ConfigError if there is none, nothing to read in it, or metadata that are a link out.
    """
    tree = read_tree(source)
    listing = Listing(tree, passed=list(tree.passed))
    captions: list[tuple[str, str, str]] = []
    unknown: list[str] = []
    for name in tree.files:
        folder, slash, base = name.rpartition("/")
        what = named(base)
        if what.kind == "picture":
            listing.pictures[name] = [name, folder + slash + what.stem]
        elif what.kind == "caption":
            captions.append((name, folder + slash + what.stem, what.ending))
        elif what.kind == "metadata":
            listing.metadata.append(name)
        elif what.kind == "passed_over":
            listing.passed.append((what.why, name))
        else:
            unknown.append(name)
    _look_into(unknown, listing)
    listing.captions, alone = partners(listing.pictures, captions)
    listing.passed += [(SECOND, name) for name in second(listing.captions)]
    _judge_the_lonely(alone, listing)
    _require_something(listing, source)
    return listing


def _look_into(names: list[str], listing: Listing) -> None:
    """Tell by their first bytes what files are whose names do not say."""
    for name in (name for name in names if name in listing.tree.problems):
        listing.refused[name] = listing.tree.problems[name]
    names = [name for name in names if name not in listing.tree.problems]
    stems = {stem for found in listing.pictures.values() for stem in found}
    found = zip(names, heads(listing.tree, names, HEAD_BYTES), strict=True)
    for name, head in list(found):
        if form_of_bytes(head) is not None:
            listing.pictures[name] = list(dict.fromkeys(_shorter(name)))
        else:
            like = split_ending(name)[0] in stems
            why = (LIKE_CAPTIONS if like else UNKNOWN) if head else EMPTY
            listing.passed.append((why, name))
    listing.pictures = dict(sorted(listing.pictures.items()))


def _shorter(name: str) -> Iterator[str]:
    """Yield a name with its folder, and without its last one and two endings."""
    folder, slash, base = name.rpartition("/")
    for _ in range(3):
        yield folder + slash + base
        base = split_ending(base)[0]


def _judge_the_lonely(alone: Names, listing: Listing) -> None:
    """Make rows of captions whose picture is gone; texts that were never captions are none."""
    elsewhere = {_base(stem) for found in listing.pictures.values() for stem in found}
    with_json = {
        name.rpartition("/")[0]
        for found in listing.captions.values()
        for name in filter(is_json, found)
    }
    for stem, names in alone.items():
        if is_table(stem.rpartition("/")[2]):
            why = TABLES
        elif is_document(stem.rpartition("/")[2]):
            why = DOCUMENT_TEXTS
        elif all(map(is_json, names)) and stem.rpartition("/")[0] not in with_json:
            why = LONELY_JSON
        elif _base(stem) in elsewhere:
            why = ELSEWHERE
        else:
            shown = ", ".join(name.rpartition("/")[2] for name in sorted(names))
            listing.refused[min(names)] = f"{MISSING}: no picture beside {shown}"
            continue
        listing.passed += [(why, name) for name in names]


def _base(stem: str) -> str:
    return folded(stem.rpartition("/")[2])


def _require_something(listing: Listing, source: SourceSettings) -> None:
    """Raise ConfigError for metadata that must not be read, and for a folder without pictures."""
    for name in listing.metadata:
        if problem := listing.tree.problems.get(name):
            raise ConfigError(f"wanted to read {name} in '{source.path}', found {problem}")
    if listing.pictures or listing.metadata:
        return
    survey = Survey("pictures")
    listing.count(survey)
    rows = "; ".join(f"{name}: {why}" for name, why in list(listing.refused.items())[:3])
    instead = for_another_kind(listing.tree.files, source.kind)
    raise ConfigError(
        f"wanted pictures, {survey.sentence(repr(source.path))}{rows and '; '}{rows}; "
        + (instead or "set crawl.source.path to a folder of pictures")
    )


def picture_row(
    listing: Listing, name: str, captions: Sequence[str] = (), source: str | None = None
) -> Row:
    """Return a picture's row with these captions, or else with those in files beside it."""
    if problem := listing.tree.problems.get(name):
        return row_without(problem, name, captions, source)
    texts, jsons = texts_and_jsons([] if captions else listing.captions.get(name, []))
    return listed_row(
        shown(name),
        captions,
        picture=handle(name),
        text_files=[handle(text) for text in texts] or None,
        json_files=[handle(json) for json in jsons] or None,
        source=source,
    )


def row_without(
    problem: str, name: str, captions: Sequence[str] = (), source: str | None = None
) -> Row:
    """Return the row of what is not read for a problem, `reason: detail`; its caption stays."""
    reason, _, detail = problem.partition(": ")
    row = listed_row(shown(name), captions, source=source)
    why = problem_row(reason, f"{shown(name)}: {detail}" if name else detail)["problem"]
    return row | {"problem": row["problem"] or why}
