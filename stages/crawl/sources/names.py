"""Match column names: the one that is set, in any letters, or else an alias."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources.listed import printable

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A column that a table must have: the setting that names it, and other names it often has."""

    setting: str
    aliases: tuple[str, ...]

    def named(self, source: SourceSettings) -> str:
        name: str = getattr(source, self.setting)
        return name

    def among(
        self, found: Iterable[str], source: SourceSettings, *, aliases: bool = True
    ) -> list[str]:
        """Return the columns that can be meant: more than one if nothing tells them apart.

        Aliases count where the setting is as it was.
        """
        name, found = self.named(source), list(found)
        if name in found:
            return [name]
        alike = [one for one in found if plain(one) == plain(name)]
        if alike or not aliases or name != SourceSettings.model_fields[self.setting].default:
            return alike
        return [one for one in found if plain(one) in self.aliases]


URL = Wanted("url_column", ("image_url", "img_url", "imageurl", "image_link", "link", "src", "uri"))
CAPTION = Wanted(
    "caption_column",
    ("captions", "text", "alt", "alt_text", "title", "description", "prompt"),
)
FILE = Wanted(
    "file_column",
    (
        "filename", "file", "file_path", "filepath", "path", "image", "image_file_name",
        "image_filename", "image_file", "image_name", "image_path", "imagename", "img",
        "img_path", "img_name", "picture", "photo",
    ),
)  # fmt: skip
# Where the setting is as it was, the first of these that is there is the caption.
CAPTION_OF_PICTURE = Wanted(
    "caption_column",
    (
        "captions", "text", "prompt", "description", "title", "alt_text", "alt", "sentence",
        "sentences", "image_caption", "tags",
    ),
)  # fmt: skip


def plain(name: str) -> str:
    """Write a column's name without what does not tell it from another."""
    return name.strip(" \t\"'\ufeff#").replace(" ", "_").replace("-", "_").casefold()


def renamed(
    found: Sequence[str],
    source: SourceSettings,
    file: str,
    wanted: Sequence[Wanted] = (URL, CAPTION),
    separator: str | None = None,
) -> dict[str, str]:
    """Return which columns of the file stand for the wanted ones: their names to the set names.

    `separator` is that of a file whose columns it separates. Raises ConfigError if one is not
    there, or several can be meant.
    """
    names = {}
    for column in wanted:
        meant = column.among(found, source)
        if len(meant) != 1:
            raise _missing(column, meant, found, source, file, separator)
        names[meant[0]] = column.named(source)
    return names


def tell(names: Mapping[str, str], file: str) -> None:
    """Say which columns stand for others."""
    for mine, ours in names.items():
        if mine != ours:
            LOG.info("crawl: %s: its column '%s' is read as '%s'", file, printable(mine), ours)


def _missing(
    column: Wanted,
    meant: Sequence[str],
    found: Sequence[str],
    source: SourceSettings,
    file: str,
    separator: str | None,
) -> ConfigError:
    setting = f"crawl.source.{column.setting}"
    parted = "" if separator is None else f" (separated by {separator!r})"
    if meant:
        todo = f"set {setting} to the one that is meant: {', '.join(map(printable, meant))}"
    elif column is CAPTION and not [one for one in found if not URL.among([one], source)]:
        todo = (
            "a list without captions trains nothing: write them into a column "
            f"'{column.named(source)}'"
        )
    elif close := [one for one in found if plain(one) in column.aliases]:
        todo = f"set {setting}={printable(close[0])}"
    else:
        todo = f"set {setting} to one of them" if found else "write them into such a column"
    if column is URL and FILE.among(found, source):
        todo += ", or crawl.source.kind=folder if these are names of pictures"
    if column is FILE and URL.among(found, source):
        todo += ", or crawl.source.kind=urls if these are addresses of pictures"
    if separator is not None:
        todo += (
            ", crawl.source.separator to what separates the columns, or crawl.source.columns to "
            "the names if the file has no line of names"
        )
    shown = [printable(name[:80]) for name in found[:50]]
    return ConfigError(
        f"wanted a column '{column.named(source)}' in {file}, found {shown}{parted}; {todo}"
    )
