"""Make rows of a folder's metadata files: one for each caption of each picture."""

import logging
from collections.abc import Iterator
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
    Unreadable,
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

LOOKED_AT = 100  # records in which the columns must show up: JSON may leave a column out
TWICE = "captions that another metadata file of the folder has too"
NOT_FOUND = (MISSING, OUTSIDE)
OTHER_THINGS = "metadata.json that names no picture"
NO_ROWS = "metadata without rows"
OF_KOHYA = "meta_"  # begins the names of files that its scripts write, with paths of elsewhere

LOG = logging.getLogger(__name__)


def described_rows(listing: Listing, source: SourceSettings, survey: Survey) -> Iterator[Row]:
    """Yield a row for each caption in the metadata; those of one picture share `FAMILY`.

    Several files of one folder are all read, but a caption of a picture that both have once.
    Raises ConfigError if a file lacks a column that it must have, and at the end if several
    pictures are named and not one of them is there.
    """
    described = _Described(listing, source, survey)
    folders = [name.rpartition("/")[0] for name in listing.metadata]
    seen: dict[str, set[int]] = {f: set() for f in folders if folders.count(f) > 1}
    for name, folder in zip(listing.metadata, folders, strict=True):
        before = frozenset(seen.get(folder, ()))
        for row in described.rows(name):
            one = hash((row["picture"], row["caption"]))
            if one in before and row["picture"] is not None:
                survey.pass_over(TWICE, f"{name}: {row['url']}")
                continue
            if folder in seen:
                seen[folder].add(one)
            yield row
    described.require_found()


class _Described:
    """Reads metadata files, and counts the names of pictures in them."""

    def __init__(self, listing: Listing, source: SourceSettings, survey: Survey) -> None:
        self.listing, self.source, self.survey = listing, source, survey
        self.pointer = Pointer(listing)
        self.found = self.lost = 0
        self.first_lost = "", ""  # its name, and the file that has it

    def rows(self, name: str) -> Iterator[Row]:
        try:
            address = self.listing.tree.address(name)
            records = metadata_records(address, self.source, self.pointer.is_like)
        except OfOtherThings:
            self.survey.pass_over(OTHER_THINGS, name)
            return
        first = list(islice(records, LOOKED_AT))
        if not first:
            self.survey.pass_over(NO_ROWS, name)
        self._check(name, [record for record in first if isinstance(record, dict)])
        folder, _, base = name.rpartition("/")
        moved = base.lower().startswith(OF_KOHYA)
        for record in chain(first, records):
            if isinstance(record, Unreadable):
                yield problem_row(UNREADABLE, record)
                continue
            written = _text(record.pop(self.source.file_column, None))
            meant = self.pointer.find(written, folder, moved=moved)
            self._count(meant, written, name)
            try:
                captions = pop_captions(record, self.source, meant.label)
            except ValueError as error:
                rows = [problem_row(UNREADABLE, f"{meant.label}: {error}", meant.label)]
            else:
                rows = self._of_picture(meant, captions, as_json(record))
            for row in rows:
                yield row | {FAMILY: meant.label or None}

    def _count(self, meant: Pointed, written: str, file: str) -> None:
        if not meant.problem.startswith(NOT_FOUND):
            self.found += 1
            return
        self.lost += 1
        if written and not self.first_lost[0]:
            self.first_lost = written, file

    def _of_picture(self, meant: Pointed, captions: list[str], source: str | None) -> list[Row]:
        """Return a row for each caption, or one that has those in files beside the picture."""
        if not any(captions) and meant.picture in self.listing.partners.of_picture:
            captions = []  # an empty cell
        some = [[caption] for caption in captions] or [[]]
        if meant.picture is None:
            return [row_without(meant.problem, meant.label, one, source) for one in some]
        return [picture_row(self.listing, meant.picture, one, source) for one in some]

    def _check(self, name: str, records: list[Row]) -> None:
        """Raise ConfigError unless the first records name files and there are captions."""
        source = self.source
        found = list(dict.fromkeys(column for record in records for column in record))
        if not found:
            return
        column = caption_column(found, source)
        others = [printable(one[:80]) for one in found if one != source.file_column][:50]
        if column is None and not self.listing.partners.of_picture:
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

    def require_found(self) -> None:
        """Raise ConfigError if several pictures are named, and not one of them is there."""
        (example, file), pictures = self.first_lost, self.listing.pictures
        if example and self.lost > 1 and not self.found and pictures:
            raise ConfigError(
                f"wanted names of pictures in the column '{self.source.file_column}' of {file}, "
                f"found none of them in the folder: such as {printable(example[:80])}, where "
                f"there is {shown(next(iter(pictures)))}; put the file beside the pictures it "
                "describes, write names relative to it, or take it out"
            )


def _text(value: Any) -> str:
    """Return a cell that should hold a name; other kinds of values name nothing."""
    return str(value) if isinstance(value, str | int) else ""
