"""A folder of pictures, each with its caption beside it or in a metadata file."""

import urllib.parse
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import fsspec

from schemas.configs import SourceSettings
from schemas.errors import ConfigError
from stages.crawl.listed import as_json
from stages.crawl.reasons import Refused
from stages.crawl.text_lists import read_records

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
METADATA = ("metadata.csv", "metadata.jsonl")
NAME_COLUMN, CAPTION_COLUMNS = "file_name", ("caption", "text")


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


def folder_rows(source: SourceSettings) -> Iterator[dict[str, str | None]]:
    """Yield a row for every picture, and for every line of metadata even if its picture is gone.

    Names in `metadata.csv` or `metadata.jsonl` are relative to the file; a picture without such a
    line has its caption in the .txt of the same name in the same folder, or none.
    """
    system, top, names = folder_files(source)
    described: set[str] = set()
    for name in names:
        if PurePosixPath(name).name not in METADATA:
            continue
        for record in read_records(system.unstrip_protocol(f"{top}/{name}")):
            file_name = str(record.pop(NAME_COLUMN, None) or "")
            picture = str(PurePosixPath(name).parent / file_name) if file_name else ""
            caption = next((record.pop(c) for c in CAPTION_COLUMNS if c in record), None)
            described.add(picture)
            text = None if caption is None else str(caption).strip()
            yield _row(picture, text, None, as_json(record))
    present = set(names)
    for name in names:
        if name.lower().endswith(PICTURES) and name not in described:
            beside = str(PurePosixPath(name).with_suffix(".txt"))
            yield _row(name, None, beside if beside in present else None, None)
    if not described and not any(name.lower().endswith(PICTURES) for name in names):
        raise ConfigError(
            f"wanted pictures in '{source.path}', found none among {len(names)} files; "
            f"a picture ends in {', '.join(PICTURES)}"
        )


def _row(
    url: str, caption: str | None, caption_file: str | None, source: str | None
) -> dict[str, str | None]:
    return {"url": url, "caption": caption, "caption_file": caption_file, "source": source}


class FolderReader:
    """Reads files of the folder, at most so many bytes of each, and nothing outside it."""

    def __init__(self, source: SourceSettings, max_bytes: int) -> None:
        self.system, top = fsspec.core.url_to_fs(source.path)
        self.top, self.max_bytes, self.source = top.rstrip("/"), max_bytes, source

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raise Refused if it is outside, missing or too large."""
        if not name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise Refused("bad_url", f"'{name}' is no file inside the folder")
        try:
            with self.system.open(f"{self.top}/{name}", "rb") as file:
                data: bytes = file.read(self.max_bytes + 1)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise Refused("missing_file", name) from error
        if len(data) > self.max_bytes:
            raise Refused("too_large", f"more than {self.max_bytes} bytes")
        return data

    def caption(self, name: str) -> str:
        """Return the caption in a text file: all of it, or its first line."""
        text = self.read(name).decode("utf-8-sig", errors="replace").strip()
        return text.partition("\n")[0].strip() if self.source.caption == "first_line" else text


def as_url(name: str) -> str:
    """Write a file's name as an address, so that urllib hands it to us unchanged."""
    return "folder:///" + urllib.parse.quote(name)


def from_url(url: str) -> str:
    """Undo `as_url`."""
    return urllib.parse.unquote(url.removeprefix("folder:///"))
