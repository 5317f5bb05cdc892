"""Files that belong together by name, pictures, .txt and .json, and the captions in them."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from schemas.configs import SourceSettings
from stages.crawl.reasons import Refused
from stages.crawl.sources.listed import (
    UNREADABLE,
    Row,
    as_json,
    captions_of,
    listed_row,
    problem_row,
)
from stages.pictures import SUFFIXES

CAPTION_COLUMNS = ("caption", "captions", "text")


def kind_of(suffix: str) -> str | None:
    """Return the column of LISTED for a file with this ending, or None if it is of no use."""
    suffix = suffix.lower()
    if suffix in SUFFIXES:
        return "picture"
    return {".txt": "text_file", ".json": "json_file"}.get(suffix)


class Reader(Protocol):
    """Reads a file of the source by the name that the listing gave to it."""

    def read(self, name: str) -> bytes:
        """Return the bytes; raise Refused if that cannot be."""


def pop_captions(record: Row) -> list[str]:
    """Take the captions out of a record; raise ValueError if they are no text, or too many."""
    values = [record.pop(name) for name in CAPTION_COLUMNS if name in record]
    return captions_of(values[0]) if values else []


def with_captions(
    listed: Sequence[Row], index: int, reader: Reader | None, source: SourceSettings, threads: int
) -> list[Row]:
    """Read the captions of piece `index` that are in files, and give every row its key.

    A picture with several captions becomes several rows: `00003-000012`, `00003-000012.1`, ...
    """
    with ThreadPoolExecutor(threads) as pool:  # an object store answers slowly, but many at once
        read = list(pool.map(lambda row: _read(row, reader, source), listed))
    return [
        one
        for number, row in enumerate(read)
        for one in _family(row, row["key"] or f"{index:05d}-{number:06d}")
    ]


def _family(row: Row, key: str) -> Iterator[Row]:
    yield row | {"key": key}
    for number, caption in enumerate(row["more"] or (), start=1):
        yield row | {"key": f"{key}.{number}", "caption": caption}


def _read(row: Row, reader: Reader | None, source: SourceSettings) -> Row:
    """Return the row with the captions from its files; what cannot be read is its problem."""
    if reader is None or not (row["text_file"] or row["json_file"]):
        return row
    captions: list[str] = []
    other = row["source"]
    try:
        if row["json_file"]:
            captions, other = _from_json(reader.read(row["json_file"]))
        if row["text_file"]:
            captions = captions_of(_from_text(reader.read(row["text_file"]), source))
    except Refused as error:
        reason, _, detail = str(error).partition(": ")
        return problem_row(reason, f"its caption: {detail}", row["url"])
    except (ValueError, RecursionError) as error:
        return problem_row(UNREADABLE, f"its caption: {error}", row["url"])
    return listed_row(row["url"], captions, picture=row["picture"], source=other, key=row["key"])


def _from_text(data: bytes, source: SourceSettings) -> list[str]:
    text = data.decode("utf-8-sig").strip()
    if source.caption == "whole":
        return [text]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[:1] if source.caption == "first_line" else lines


def _from_json(data: bytes) -> tuple[list[str], str | None]:
    """Return the captions of an object, a list or a text, and an object's other columns."""
    record: Any = json.loads(data.decode("utf-8-sig"))
    if isinstance(record, dict):
        return pop_captions(record), as_json(record)
    return captions_of(record), None
