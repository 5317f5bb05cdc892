"""A folder of pictures, each with its captions beside it or in a metadata file."""

import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from schemas.settings import SourceSettings
from stages.crawl.reasons import Refused
from stages.crawl.sources import links
from stages.crawl.sources.described import described_rows
from stages.crawl.sources.file_names import split_ending
from stages.crawl.sources.folder_tree import is_local
from stages.crawl.sources.listed import FAMILY, Row, name_of, shown
from stages.crawl.sources.listing import list_folder, picture_row, row_without
from stages.crawl.sources.source import Source
from stages.crawl.sources.survey import Survey
from stages.pictures.forms import HEAD_BYTES, unread_form
from stages.storage import system_of

TEXT_LINK = re.compile(rb"(\.\./)+blobs/\w+\s*")  # of a snapshot of the Hugging Face hub
BESIDE_METADATA = "captions of pictures that metadata describe"


class PictureFolder(Source):
    """A folder of pictures."""

    wants = "a folder of pictures, such as --set crawl.source.path=pictures/"

    def files(self) -> list[tuple[str, str | None]]:
        """Return all pictures, captions and metadata, and the names of what cannot be read."""
        return list_folder(self.settings).to_read()

    def rows(self, survey: Survey) -> Iterator[Row]:
        """Yield a row for every picture, every line of metadata, and all that stands for a picture.

        Names in a metadata file are relative to it. A picture that it gives no caption has those in
        the files beside it, or none. Lines that name the same picture, wherever they are, are one
        family of keys.
        """
        listing = list_folder(self.settings)
        listing.count(survey)
        described: dict[str, bool] = {}  # pictures, and whether a caption was there
        for row in described_rows(listing, self.settings, survey):
            if (name := row.get(FAMILY)) is not None:
                described[name] = described.get(name, False) or row["caption"] is not None
            yield row
        for name in sorted([*listing.pictures, *listing.refused]):
            if name in listing.refused:
                yield row_without(listing.refused[name], name)
            elif name not in described:
                yield picture_row(listing, name)
            elif described[name]:
                for beside in listing.captions.get(name, ()):
                    survey.pass_over(BESIDE_METADATA, beside)

    def picture_count(self) -> int:
        return len(list_folder(self.settings).pictures)

    def reader(self, max_bytes: int) -> "FolderReader":
        return FolderReader(self.settings, max_bytes)


class FolderReader:
    """Reads files of the folder, at most so many bytes of each, and nothing outside it.

    Nor where a link leads out: who packed the folder may not know this machine.
    """

    def __init__(self, source: SourceSettings, max_bytes: int) -> None:
        self.system, top = system_of(source.path)
        self.top, self.max_bytes = top.rstrip("/"), max_bytes
        self.allowed = links.roots(Path(self.top or "/")) if is_local(self.system) else None

    def read(self, given: str) -> bytes:
        """Return a file's bytes; raise Refused if it is outside, missing or not a picture."""
        name = name_of(given)
        if not name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise Refused("outside_folder", f"'{shown(name)}' is no file inside the folder")
        if self.allowed is not None:
            self._check_links(name, self.allowed)
        try:
            with self.system.open(f"{self.top}/{name}", "rb") as file:
                data: bytes = file.read(self.max_bytes + 1)
        except OSError as error:
            kind = error.strerror or type(error).__name__  # without the paths of this machine
            raise Refused("missing_file", f"{shown(name)}: {kind}") from error
        if len(data) > self.max_bytes:
            raise Refused("too_large", f"more than {self.max_bytes} bytes")
        if why := _in_place_of_file(data[: HEAD_BYTES + 1]):
            raise Refused("missing_file", f"{shown(name)} is {why}")
        if why := unread_form(data, split_ending(name)[1]):
            raise Refused("not_an_image", f"{why}; convert it to PNG or JPEG")
        return data

    def _check_links(self, name: str, allowed: list[Path]) -> None:
        path = Path(self.top, name)
        if problem := links.problem_of_link(path, allowed):
            reason, _, detail = problem.partition(": ")
            raise Refused(reason, f"'{shown(name)}' is {detail}")
        if not links.is_plain_file(path):
            raise Refused("missing_file", f"'{shown(name)}' is no file that can be read to its end")


def _in_place_of_file(head: bytes) -> str | None:
    """Say what lies there in place of the file, where a copy has left what only points to it."""
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS; fetch the file itself with `git lfs pull`"
    if TEXT_LINK.fullmatch(head):
        return "a link that a copy has turned into text; download it again, or copy with `cp -rL`"
    return None


def as_url(name: str) -> str:
    """Write a file's name as an address, so that urllib hands it to us unchanged."""
    return "folder:///" + urllib.parse.quote(name)


def from_url(url: str) -> str:
    return urllib.parse.unquote(url.removeprefix("folder:///"))
