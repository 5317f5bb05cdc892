"""Read captions from files beside their pictures, and give each row its key.

A picture may have several of each: its caption is that of the first text that is not empty, or else
of the first JSON file. The other columns are the JSON's, with a caption that is not used.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from schemas.settings import SourceSettings
from stages.crawl.reasons import Refused
from stages.crawl.sources.listed import (
    UNREADABLE,
    Row,
    as_json,
    captions_of,
    listed_row,
    problem_row,
)
from stages.crawl.sources.names import CAPTION_OF_PICTURE, plain
from stages.crawl.sources.source import Reader
from stages.crawl.sources.text_lines import decoded
from stages.threads import in_threads

TITLE = "title"
LINE_END = re.compile(r"\r\n|\r|\n")


def caption_column(names: Iterable[str], source: SourceSettings) -> str | None:
    """Return the column that is the caption, or None if there is none."""
    found = CAPTION_OF_PICTURE.among(names, source)
    order = CAPTION_OF_PICTURE.aliases
    return min(
        found,
        key=lambda name: order.index(plain(name)) if plain(name) in order else -1,
        default=None,
    )


def pop_captions(record: Row, source: SourceSettings, picture: str = "") -> list[str]:
    """Take the captions out of a record; raise ValueError if they are no text, or too many.

    A title that is the picture's own name, as Google Takeout writes them, is no caption.
    """
    own = picture.rpartition("/")[2]
    there = {
        name: value
        for name, value in record.items()
        if value is not None and not (plain(name) == TITLE and value == own)
    }
    filled = [name for name, value in there.items() if not _is_empty(value)]
    column = caption_column(filled, source) or caption_column(there, source)
    return [] if column is None else captions_of(record.pop(column))


def _is_empty(value: Any) -> bool:
    return value == [] or (isinstance(value, str) and not value.strip())


def with_captions(
    listed: Sequence[Row], index: int, reader: Reader | None, source: SourceSettings, threads: int
) -> list[Row]:
    """Read the captions of piece `index` that are in files, and give every row its key.

    A picture with several captions becomes several rows: `00003-000012`, `00003-000012.1`, ...
    """
    read = list(in_threads(lambda row: _read(row, reader, source), listed, threads))
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
    if reader is None or not (row["text_files"] or row["json_files"]):
        return row
    try:
        captions = _from_texts(row["text_files"] or (), reader, source)
        captions, about = _from_jsons(row, captions, reader, source)
    except Refused as error:
        reason, _, detail = str(error).partition(": ")
        return problem_row(reason, f"its caption: {detail}", row["url"])
    except (ValueError, RecursionError) as error:
        return problem_row(UNREADABLE, f"its caption: {error}", row["url"])
    return listed_row(
        row["url"], captions, picture=row["picture"], source=row["source"] or about, key=row["key"]
    )


def _from_texts(files: Sequence[str], reader: Reader, source: SourceSettings) -> list[str]:
    """Return the captions of the first text that has any."""
    captions: list[str] = []
    for file in files:
        captions = captions_of(_from_text(reader.read(file), source))
        if any(captions):
            break
    return captions


def _from_jsons(
    row: Row, captions: list[str], reader: Reader, source: SourceSettings
) -> tuple[list[str], str | None]:
    """Return the captions, of JSON files where there are none yet, and the other columns.

    The first file is read in any case, for its columns; a caption in it that is not used stays one.
    """
    columns: Row = {}
    for file in row["json_files"] or ():
        record: Any = json.loads(decoded(reader.read(file), source.encoding))
        whole = record if isinstance(record, dict) else {source.caption_column: record}
        others = dict(whole)
        found = pop_captions(others, source, row["url"])
        if not any(captions):
            captions = captions if captions and not any(found) else found
        elif any(found) and found != captions:
            others = whole
        columns = others | columns
        if any(captions):
            break
    return captions, as_json(columns)


def _from_text(data: bytes, source: SourceSettings) -> list[str]:
    text = decoded(data, source.encoding).strip()
    if source.caption == "whole":
        return [text]
    lines = [line.strip() for line in LINE_END.split(text) if line.strip()]
    return lines[:1] if source.caption == "first_line" else lines
