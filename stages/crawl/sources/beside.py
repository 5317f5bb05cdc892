"""Captions in files beside their pictures, and the key of each row.

A picture may have a text and a JSON file: the caption is the text's, and the other columns are the
JSON's.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from schemas.configs import SourceSettings
from stages.crawl.reasons import Refused
from stages.crawl.sources.file_names import JSON_ENDING, TEXT_ENDINGS
from stages.crawl.sources.listed import (
    UNREADABLE,
    Row,
    as_json,
    captions_of,
    listed_row,
    problem_row,
)
from stages.crawl.sources.names import Wanted, plain
from stages.crawl.sources.picture_forms import stem_of_picture
from stages.crawl.sources.text_lines import decoded

# Where the setting is as it was, the first of these that is there is the caption.
CAPTION_OF_PICTURE = Wanted(
    "caption_column",
    (
        "captions", "text", "prompt", "description", "title", "alt_text", "alt", "sentence",
        "sentences", "image_caption", "tags",
    ),
)  # fmt: skip


def kind_of(suffix: str) -> str | None:
    """Return the column of LISTED for a file with this ending, or None if it is of no use."""
    suffix = suffix.lower()
    if stem_of_picture(f"x{suffix}") is not None:
        return "picture"
    if suffix in TEXT_ENDINGS:
        return "text_file"
    return "json_file" if suffix == JSON_ENDING else None


class Reader(Protocol):
    """Reads a file of the source by the name that the listing gave to it."""

    def read(self, name: str) -> bytes:
        """Return the bytes; raise Refused if that cannot be."""


def caption_column(names: Iterable[str], source: SourceSettings) -> str | None:
    """Return the column that is the caption, or None if there is none."""
    found = CAPTION_OF_PICTURE.among(names, source)
    order = CAPTION_OF_PICTURE.usual
    return min(
        found,
        key=lambda name: order.index(plain(name)) if plain(name) in order else -1,
        default=None,
    )


def pop_captions(record: Row, source: SourceSettings) -> list[str]:
    """Take the captions out of a record; raise ValueError if they are no text, or too many."""
    column = caption_column((name for name, value in record.items() if value is not None), source)
    return [] if column is None else captions_of(record.pop(column))


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
            captions, about = _from_json(reader.read(row["json_file"]), source)
            other = other or about
        if row["text_file"]:
            captions = captions_of(_from_text(reader.read(row["text_file"]), source))
    except Refused as error:
        reason, _, detail = str(error).partition(": ")
        return problem_row(reason, f"its caption: {detail}", row["url"])
    except (ValueError, RecursionError) as error:
        return problem_row(UNREADABLE, f"its caption: {error}", row["url"])
    return listed_row(row["url"], captions, picture=row["picture"], source=other, key=row["key"])


def _from_text(data: bytes, source: SourceSettings) -> list[str]:
    text = decoded(data, source.encoding).strip()
    if source.caption == "whole":
        return [text]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[:1] if source.caption == "first_line" else lines


def _from_json(data: bytes, source: SourceSettings) -> tuple[list[str], str | None]:
    """Return the captions of an object, a list or a text, and an object's other columns."""
    record: Any = json.loads(decoded(data, source.encoding))
    if isinstance(record, dict):
        return pop_captions(record, source), as_json(record)
    return captions_of(record), None
