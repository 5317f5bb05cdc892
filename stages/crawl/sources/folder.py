"""A folder of pictures, each with its captions beside it or in a metadata file."""

import urllib.parse
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from schemas.configs import SourceSettings
from schemas.errors import ConfigError
from stages.crawl.reasons import Refused
from stages.crawl.sources.beside import pop_captions
from stages.crawl.sources.listed import FAMILY, UNREADABLE, Row, as_json, listed_row, problem_row
from stages.crawl.sources.text_lines import Unreadable
from stages.crawl.sources.text_lists import read_records
from stages.pictures import SUFFIXES

METADATA = tuple(f"metadata{end}" for end in (".csv", ".csv.gz", ".jsonl", ".jsonl.gz"))
NAME_COLUMN = "file_name"


def folder_files(source: SourceSettings) -> tuple[Any, str, list[str]]:
    """Return the file system, the folder, and the sorted names of all files inside.

    Raises ConfigError if there is no such folder.
    """
    system, top = fsspec.core.url_to_fs(source.path)
    if not source.path or not system.isdir(top):
        raise ConfigError(
            f"wanted a folder of pictures at crawl.source.path, found none at '{source.path}'; "
            "set crawl.source.path to a folder"
        )
    top = top.rstrip("/")
    return system, top, sorted(name.removeprefix(top + "/") for name in system.find(top))


def folder_rows(source: SourceSettings) -> Iterator[Row]:
    """Yield a row for every picture, and for every line of metadata even if its picture is gone.

    Names in a metadata file are relative to it; a picture without such a line has its captions in
    the .txt or .json of the same name in the same folder, or none. Lines that name the same
    picture, wherever they are, are one family of keys.
    """
    system, top, names = folder_files(source)
    described: set[str] = set()
    for name in names:
        if PurePosixPath(name).name in METADATA:
            for record in read_records(system.unstrip_protocol(f"{top}/{name}"), source, ()):
                for row in _described(record, PurePosixPath(name).parent):
                    described.add(row["url"])
                    yield row
    present = set(names)
    for name in names:
        if name.lower().endswith(SUFFIXES) and name not in described:
            text, json = (str(PurePosixPath(name).with_suffix(end)) for end in (".txt", ".json"))
            yield listed_row(
                name,
                picture=name,
                text_file=text if text in present else None,
                json_file=json if json in present else None,
            )
    if not described and not any(name.lower().endswith(SUFFIXES) for name in names):
        raise ConfigError(
            f"wanted pictures in '{source.path}', found none among {len(names)} files; "
            f"a picture ends in {', '.join(SUFFIXES)}"
        )


def _described(record: Row | Unreadable, folder: PurePosixPath) -> Iterator[Row]:
    """Yield a row for each caption that a line of metadata gives to a picture."""
    if isinstance(record, Unreadable):
        yield problem_row(UNREADABLE, record)
        return
    file_name = str(record.pop(NAME_COLUMN, None) or "")
    picture = str(folder / file_name) if file_name else ""
    try:
        captions = [[caption] for caption in pop_captions(record)] or [[]]
    except ValueError as error:
        yield problem_row(UNREADABLE, f"{picture}: {error}", picture)
        return
    for one_or_none in captions:
        row = listed_row(picture, one_or_none, picture=picture, source=as_json(record))
        yield row | {FAMILY: picture}


class FolderReader:
    """Reads files of the folder, at most so many bytes of each, and nothing outside it.

    Nor where a symbolic link leads: who packed the folder may not know this machine.
    """

    def __init__(self, source: SourceSettings, max_bytes: int) -> None:
        self.system, top = fsspec.core.url_to_fs(source.path)
        self.top, self.max_bytes = top.rstrip("/"), max_bytes
        self.is_local = "file" in self.system.protocol

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raise Refused if it is outside, missing or too large."""
        if not name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise Refused("bad_url", f"'{name}' is no file inside the folder")
        if self.is_local and not Path(self.top, name).resolve().is_relative_to(
            Path(self.top).resolve()
        ):
            raise Refused("bad_url", f"'{name}' is a link out of the folder")
        try:
            with self.system.open(f"{self.top}/{name}", "rb") as file:
                data: bytes = file.read(self.max_bytes + 1)
        except OSError as error:
            raise Refused("missing_file", f"{name}: {error}") from error
        if len(data) > self.max_bytes:
            raise Refused("too_large", f"more than {self.max_bytes} bytes")
        return data


def as_url(name: str) -> str:
    """Write a file's name as an address, so that urllib hands it to us unchanged."""
    return "folder:///" + urllib.parse.quote(name)


def from_url(url: str) -> str:
    """Undo `as_url`."""
    return urllib.parse.unquote(url.removeprefix("folder:///"))
