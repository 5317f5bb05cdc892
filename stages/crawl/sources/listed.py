"""LISTED: the common form of rows from every source, before anything is fetched."""

import json
import re
import urllib.parse
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from schemas.settings import SourceSettings

LISTED = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),  # the web's, or a label of the file
        pa.field("caption", pa.string()),
        pa.field("more", pa.list_(pa.string())),  # further captions of the same picture
        pa.field("key", pa.string()),  # null: made from the row's place
        pa.field("picture", pa.string()),  # for the source's reader; null: it is given the url
        pa.field("text_files", pa.list_(pa.string())),  # where captions are, the best first
        pa.field("json_files", pa.list_(pa.string())),  # likewise, with other columns
        pa.field("source", pa.string()),  # the other columns, as JSON
        pa.field("problem", pa.string()),  # why there is nothing to fetch, as `reason: detail`
    ]
)
FAMILY = "family"  # beside those, while a source is listed: rows of one picture share it
UNREADABLE = "unreadable_row"
DAMAGED = "damaged: "  # begins the detail where a file is, and not only a row of it
WEB = ("http://", "https://")
SHOWN = 300  # characters of what could not be read
MAX_CAPTIONS = 100  # of one picture
BYTES = re.compile("[\udc00-\udcff]")  # as which bytes pass that are no text in the encoding

ESCAPED = "/"  # begins no name in a folder

Row = dict[str, Any]


class Unreadable(str):
    """Where a row is, what is wrong with it, and some of its text."""


def listed_row(url: str, captions: Sequence[str] = (), place: str = "", **columns: Any) -> Row:
    """Return a row in the LISTED form; text that no table can hold makes it an unreadable one.

    `place` is where it was found, for people.
    """
    row = dict.fromkeys(LISTED.names) | columns
    row["url"], row["caption"] = url, captions[0] if captions else None
    row["more"] = list(captions[1:]) or None
    place = f"{place}: " if place else ""
    texts = " ".join(filter(None, (url, *captions, row["source"])))
    if "\x00" in texts:
        return problem_row(UNREADABLE, f"{place}a NUL character: {texts}", url)
    if not texts.isascii():
        try:
            texts.encode()
        except UnicodeEncodeError:
            why = "half of a character, such as of an emoji that was cut in two"
            if BYTES.search(texts):
                why = "not in its encoding (crawl.source.encoding can name another)"
            return problem_row(UNREADABLE, f"{place}{why}: {texts}", url)
    return row


def problem_row(reason: str, detail: str, url: str = "") -> Row:
    """Return the row that stands for input that cannot be fetched; its detail is kept short."""
    shown = f"{reason}: {printable(detail[:SHOWN])}"
    return dict.fromkeys(LISTED.names) | {"url": printable(url), "problem": shown}


def damage_row(detail: str, url: str = "") -> Row:
    """Return the row that stands for the part of a file that is damaged."""
    return problem_row(UNREADABLE, f"{DAMAGED}{detail}", url)


def is_damage(row: Row) -> bool:
    """Return whether the row stands for damage, which a better copy of the file does not have."""
    return (row["problem"] or "").startswith(f"{UNREADABLE}: {DAMAGED}")


def printable(text: str) -> str:
    """Write what is no UTF-8, and NUL, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def captions_of(value: Any) -> list[str]:
    """Return the captions in a cell: a text, or a list of texts, stripped.

    Raises ValueError for anything else, and for more than `MAX_CAPTIONS`.
    """
    found = value if isinstance(value, list | tuple) else [value]
    if len(found) > MAX_CAPTIONS:
        raise ValueError(f"{len(found)} captions of one picture, at most {MAX_CAPTIONS}")
    if any(isinstance(one, dict | list | bytes) for one in found):
        raise ValueError("a caption that is no text")
    return [str(one).strip() for one in found if one is not None]


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names, the second of the same name with `.2` behind it, and so on."""
    seen: Counter[str] = Counter()
    made = []
    for name in names:
        seen[name] += 1
        made.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return made


def from_record(record: Row | Unreadable, source: SourceSettings, place: str) -> Row:
    """Bring one row's columns, by name, to the LISTED form; all others become JSON."""
    if isinstance(record, Unreadable):
        return problem_row(UNREADABLE, record)
    url = record.pop(source.url_column, None)
    if isinstance(url, dict | list):
        return problem_row(UNREADABLE, f"{place}: a url that is no text: {url}")
    try:
        captions = captions_of(record.pop(source.caption_column, None))
    except ValueError as error:
        return problem_row(UNREADABLE, f"{place}: {error}")
    url = "" if url is None else str(url).strip()
    return listed_row(url, captions, place, source=as_json(record))


def as_json(row: Row) -> str | None:
    """Return the columns as JSON in a fixed order, or None if there are none."""
    return json.dumps(row, default=str, ensure_ascii=False, sort_keys=True) if row else None


def handle(name: str) -> str:
    """Return a file name as a table can hold it: file systems allow bytes that are no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ESCAPED + urllib.parse.quote(name, errors="surrogateescape")
    return name


def name_of(given: str) -> str:
    if not given.startswith(ESCAPED):
        return given
    return urllib.parse.unquote(given.removeprefix(ESCAPED), errors="surrogateescape")


def shown(name: str) -> str:
    """Return the name for people, with escapes for what is no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
