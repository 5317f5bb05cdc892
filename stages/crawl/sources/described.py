"""Make rows of a folder's metadata files: one for each caption of each picture."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources.beside import caption_column, pop_captions
from stages.crawl.sources.links import MISSING
from stages.crawl.sources.listed import (
    FAMILY,
    UNREADABLE,
    WEB,
    Row,
    as_json,
    printable,
    problem_row,
    shown,
)
from stages.crawl.sources.listing import Listing, picture_row, row_without
from stages.crawl.sources.metadata import OfOtherThings, metadata_records
from stages.crawl.sources.names import plain
from stages.crawl.sources.pointed import OUTSIDE, Pointed, Pointer
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.text_lines import Unreadable

LOOKED_AT = 100  # records in which the columns must show up: JSON may leave a column out
TWICE = "captions that another metadata file of the folder has too"
NOT_FOUND = (MISSING, OUTSIDE)
OTHER_THINGS = "metadata.json that names no picture"
NO_ROWS = "metadata without rows"
OF_KOHYA = "meta_"  # begins the names of files that its scripts write, with paths of elsewhere

LOG = logging.getLogger(__name__)


@dataclass
class _Names:
    """How many names of pictures there are in all metadata, and whether any was found."""

    found: int = 0
    lost: int = 0
    example: str = ""  # of a lost one, and its file
    file: str = ""

    def count(self, written: str, file: str, *, found: bool) -> None:
        """Count a name; the first that is lost is kept."""
        self.found += found
        self.lost += not found
        if not found and written and not self.example:
            self.example, self.file = written, file


def described_rows(listing: Listing, source: SourceSettings, survey: Survey) -> Iterator[Row]:
    """Yield a row for each caption in the metadata; those of one picture share `FAMILY`.

    Several files of one folder are all read, but a caption of a picture that both have once.
    Raises ConfigError if a file lacks a column that it must have, and at the end if several
    pictures are named and not one of them is there.
    """
    names = _Names()
    pointer = Pointer(listing)
    folders = [name.rpartition("/")[0] for name in listing.metadata]
    said: dict[str, set[int]] = {f: set() for f in folders if folders.count(f) > 1}
    for name, folder in zip(listing.metadata, folders, strict=True):
        before = frozenset(said.get(folder, ()))
        for row in _rows(name, listing, source, pointer, survey, names):
            one = hash((row["picture"], row["caption"]))
            if one in before and row["picture"] is not None:
                survey.pass_over(TWICE, f"{name}: {row['url']}")
                continue
            if folder in said:
                said[folder].add(one)
            yield row
    if names.example and names.lost > 1 and not names.found and listing.pictures:
        raise ConfigError(
            f"wanted names of pictures in the column '{source.file_column}' of {names.file}, found "
            f"none of them in the folder: such as {printable(names.example[:80])}, where there is "
            f"{shown(next(iter(listing.pictures)))}; put the file beside the pictures it "
            "describes, write names relative to it, or take it out"
        )


def _rows(
    name: str,
    listing: Listing,
    source: SourceSettings,
    pointer: Pointer,
    survey: Survey,
    names: _Names,
) -> Iterator[Row]:
    try:
        records = metadata_records(listing.tree.address(name), source, pointer.is_like)
    except OfOtherThings:
        survey.pass_over(OTHER_THINGS, name)
        return
    first = list(islice(records, LOOKED_AT))
    if not first:
        survey.pass_over(NO_ROWS, name)
    _check(name, [record for record in first if isinstance(record, dict)], listing, source)
    folder, _, base = name.rpartition("/")
    moved = base.lower().startswith(OF_KOHYA)
    for record in chain(first, records):
        if isinstance(record, Unreadable):
            yield problem_row(UNREADABLE, record)
            continue
        written = _text(record.pop(source.file_column, None))
        meant = pointer.find(written, folder, moved=moved)
        names.count(written, name, found=not meant.problem.startswith(NOT_FOUND))
        try:
            captions = pop_captions(record, source, meant.label)
        except ValueError as error:
            problem = problem_row(UNREADABLE, f"{meant.label}: {error}", meant.label)
            yield problem | {FAMILY: meant.label or None}
            continue
        yield from _of_picture(meant, captions, as_json(record), listing)


def _of_picture(
    meant: Pointed, captions: list[str], source: str | None, listing: Listing
) -> Iterator[Row]:
    """Yield a row for each caption, or one that has those in files beside the picture."""
    if not any(captions) and meant.picture in listing.partners.of_picture:
        captions = []  # an empty cell
    for one_or_none in [[caption] for caption in captions] or [[]]:
        if meant.picture is None:
            row = row_without(meant.problem, meant.label, one_or_none, source)
        else:
            row = picture_row(listing, meant.picture, one_or_none, source)
        yield row | {FAMILY: meant.label or None}


def _text(value: Any) -> str:
    """Return a cell that should hold a name; other kinds of values name nothing."""
    return str(value) if isinstance(value, str | int) else ""


def _check(name: str, records: list[Row], listing: Listing, source: SourceSettings) -> None:
    """Raise ConfigError unless the first records name files and there are captions; say where."""
    found = list(dict.fromkeys(column for record in records for column in record))
    if not found:
        return
    column = caption_column(found, source)
    others = [printable(one[:80]) for one in found if one != source.file_column][:50]
    if column is None and not listing.partners.of_picture:
        raise ConfigError(
            f"wanted a column '{source.caption_column}' in {name}, found {others} beside the "
            "names of files; set crawl.source.caption_column to one of them"
        )
    if column is not None and plain(column) != plain(source.caption_column):
        LOG.info("crawl: %s: captions are in its column '%s'", name, printable(column))
    names = [_text(record.get(source.file_column)) for record in records]
    if all(one.strip().lower().startswith(WEB) for one in names):
        raise ConfigError(
            f"wanted names of files in the column '{source.file_column}' of {name}, found "
            f"addresses such as {printable(names[0][:80])}; crawl them with "
            "crawl.source.kind=urls, the file as crawl.source.path and crawl.source.url_column"
        )
