"""What to draw: prompts from a file, or validation captions, which the prior was not trained on."""

import csv
import hashlib
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.artifacts import TOKEN_PAIRS, VAL
from schemas.errors import ConfigError
from schemas.folder import Folder, Inputs
from schemas.rows import FLIP
from schemas.settings import PromptSettings
from stages.data.parquet import read_rows, validation_part
from stages.storage import opened, reaching, text_lines

EMPTY, UNREADABLE, NO_PICTURE = "empty_prompt", "unreadable_line", "no_picture"
DEFAULT_SET = "prompts"  # where a file names none
SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Prompt:
    """One caption to draw."""

    prompt_id: int  # its line in the list
    text: str
    set: str
    # the picture to complete: its address, or the codes of its top rows; empty for none
    given: str | tuple[int, ...] = ()


@dataclass
class Prompts:
    """The prompts that can be drawn, and the others by reason."""

    kept: list[Prompt] = field(default_factory=list)
    rejects: Counter[str] = field(default_factory=Counter)

    @property
    def listed(self) -> int:
        """Prompts that can be drawn or not."""
        return len(self.kept) + self.rejects.total()


Line = Mapping[str, Any] | None  # None: the line could not be read


def prompts(inputs: Inputs, cfg: PromptSettings, given_rows: int = 0) -> Prompts:
    """Return the prompts of the settings; raise ConfigError if none can be drawn.

    With `given_rows`, each also has a picture to complete: that of its validation pair, or the one
    that its line names.
    """
    if cfg.kind == "validation":
        folder = inputs.folder(TOKEN_PAIRS)
        found = keep(validation_captions(folder, cfg.count, given_rows), bool(given_rows))
    elif cfg.kind == "world":
        found = keep(first_of_each_set(lines(cfg.path), cfg.count), bool(given_rows))
    else:
        found = keep(lines(cfg.path), bool(given_rows), listed_in=cfg.path)
    if not found.kept:
        raise ConfigError(
            f"sample.prompts wants at least one prompt, found {found.listed} lines in "
            f"'{cfg.path or cfg.kind}', none of them usable: {dict(found.rejects)}"
        )
    return found


def keep(listed: Iterable[Line], completes: bool = False, listed_in: str = "") -> Prompts:
    """Sort lines into prompts and rejects; with `completes`, a prompt must name a picture."""
    found = Prompts()
    for place, line in enumerate(listed):
        text = None if line is None else line.get("prompt")
        picture = None if line is None or not completes else line.get("picture")
        kind = str((line and line.get("set")) or DEFAULT_SET)
        if line is None or not (_is_text(text) and _is_text(kind) and _is_picture(picture)):
            found.rejects[UNREADABLE] += 1
        elif not (text or "").strip():
            found.rejects[EMPTY] += 1
        elif completes and not picture:
            found.rejects[NO_PICTURE] += 1
        else:
            given = address(listed_in, picture) if isinstance(picture, str) else picture or ()
            found.kept.append(Prompt(place, str(text).strip(), kind, given))
    return found


def _is_text(value: object) -> TypeGuard[str | None]:
    """Refuse half a surrogate pair, which JSON can contain but UTF-8 cannot encode."""
    return value is None or (isinstance(value, str) and not SURROGATES.search(value))


def _is_picture(value: object) -> bool:
    """Accept text, and tuples: the codes of validation pairs, which no file can contain."""
    return isinstance(value, tuple) or (_is_text(value) and "\0" not in (value or ""))


def address(listed_in: str, picture: str) -> str:
    """Return where a picture is that a file of prompts names: beside the file, on its storage."""
    if "://" not in listed_in:
        return str(Path(listed_in).absolute().parent / picture)
    scheme = listed_in.partition("://")[0]
    if picture.startswith(f"{scheme}://"):
        return picture
    return f"{listed_in.rpartition('/')[0]}/{picture}"


def lines(path: str) -> list[Line]:
    """Read a file of prompts: .txt one a line; .jsonl, .csv, .tsv, .parquet with `prompt`, `set`,
    `picture`.

    Raises ConfigError for a file that is missing, of another kind or without prompts in it.
    """
    readers: dict[str, Callable[[bytes], list[Line]]] = {
        ".txt": lambda data: [{"prompt": line} for line in text_lines(data)],
        ".jsonl": lambda data: [_json(line) for line in text_lines(data)],
        ".csv": lambda data: _table(data, ","),
        ".tsv": lambda data: _table(data, "\t"),
        ".parquet": _parquet,
    }
    reader = next((read for ending, read in readers.items() if path.endswith(ending)), None)
    if reader is None:
        raise ConfigError(
            f"sample.prompts.path wants a file that ends in {', '.join(readers)}, found '{path}'"
        )
    try:
        return reader(_read(path))
    except (pa.ArrowException, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise ConfigError(f"sample.prompts.path: '{path}' holds no prompts: {error}") from error


def first_of_each_set(listed: Iterable[Line], count: int) -> Iterator[Line]:
    taken: Counter[str] = Counter()
    for line in listed:
        kind = "" if line is None else str(line.get("set"))
        taken[kind] += 1
        if taken[kind] <= count:
            yield line


def digest(path: str) -> str:
    return hashlib.sha256(_read(path)).hexdigest()


def pictures(path: str) -> dict[str, str]:
    """Return the addresses of the pictures that a file of prompts names, by name."""
    named = (line.get("picture") for line in lines(path) if line is not None)
    return {name: address(path, name) for name in named if name and _is_picture(name)}


def validation_captions(folder: Folder, count: int, given_rows: int = 0) -> Iterator[Line]:
    """Yield the first `count` different captions of val, or of train where val is empty.

    Mirrored pictures are left out. With `given_rows`, each has the codes of the first rows of its
    first picture.
    """
    seen: set[str] = set()
    part = validation_part(folder)
    kind = "validation" if part == VAL else "training"
    for row in read_rows(folder, part, ["key", "caption", *(["image"] if given_rows else [])]):
        if len(seen) == count:
            return
        if row["caption"] not in seen and not row["key"].endswith(FLIP):
            seen.add(row["caption"])
            codes = row.get("image", ())
            given = tuple(codes[: given_rows * math.isqrt(len(codes))])
            yield {"prompt": row["caption"], "set": kind, "picture": given}


def _read(path: str) -> bytes:
    with reaching(path, "sample.prompts.path"), opened(path) as file:
        return bytes(file.read())


def _json(line: str) -> Line:
    try:
        value = json.loads(line or "{}")
    except (ValueError, RecursionError):
        return None
    if isinstance(value, str):
        return {"prompt": value}
    return value if isinstance(value, dict) else None


def _table(data: bytes, separator: str) -> list[Line]:
    text = io.StringIO(data.decode("utf-8-sig"), newline="")
    # strict, for a quote that is never closed would make one prompt of all that follows
    rows = csv.DictReader(text, delimiter=separator, strict=True)
    if "prompt" not in (rows.fieldnames or ()):
        raise KeyError(f"no column 'prompt' among {rows.fieldnames}")
    return list(rows)


def _parquet(data: bytes) -> list[Line]:
    table = pq.read_table(pa.BufferReader(data))
    known = [name for name in table.column_names if name in ("prompt", "set", "picture")]
    return list(table.select(known).to_pylist())
