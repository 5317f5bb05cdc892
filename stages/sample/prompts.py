"""What to draw: prompts from a file, or the validation captions that the prior never learned."""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.artifacts import TOKEN_PAIRS, TRAIN, VAL
from schemas.configs import PromptSettings
from schemas.errors import ConfigError
from schemas.folder import Folder, Inputs

EMPTY, UNREADABLE = "empty_prompt", "unreadable_line"
DEFAULT_SET = "prompts"  # of a file that names none


@dataclass(frozen=True)
class Prompt:
    """One caption to draw, at its place in the list."""

    prompt_id: int
    text: str
    set: str


@dataclass
class Prompts:
    """The prompts that can be drawn, and why the others cannot."""

    kept: list[Prompt] = field(default_factory=list)
    rejects: Counter[str] = field(default_factory=Counter)

    @property
    def given(self) -> int:
        """How many were listed."""
        return len(self.kept) + self.rejects.total()


Line = Mapping[str, Any] | None  # None: the line could not be read


def prompts(inputs: Inputs, cfg: PromptSettings) -> Prompts:
    """Return what the settings ask for; raise ConfigError if there is nothing to draw."""
    if cfg.kind == "validation":
        found = keep(validation_captions(inputs.folder(TOKEN_PAIRS), cfg.count))
    else:
        found = keep(lines(cfg.path))
    if not found.kept:
        raise ConfigError(
            f"sample.prompts wants at least one prompt, found {found.given} lines in "
            f"'{cfg.path or cfg.kind}', none of them usable: {dict(found.rejects)}"
        )
    return found


def keep(listed: Iterable[Line]) -> Prompts:
    """Number the lines and set the empty and the unreadable ones aside."""
    found = Prompts()
    for place, line in enumerate(listed):
        text = None if line is None else line.get("prompt")
        if line is None or not isinstance(text, str | None):
            found.rejects[UNREADABLE] += 1
        elif not (text or "").strip():
            found.rejects[EMPTY] += 1
        else:
            kind = line.get("set") or DEFAULT_SET
            found.kept.append(Prompt(place, str(text).strip(), str(kind)))
    return found


def lines(path: str) -> list[Line]:
    """Read a file of prompts: .txt one a line; .jsonl, .csv, .tsv, .parquet with `prompt`, `set`.

    Raises ConfigError for a file that is missing, of another kind or without prompts in it.
    """
    readers: dict[str, Callable[[bytes], list[Line]]] = {
        ".txt": _text,
        ".jsonl": _json_lines,
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
    except (pa.ArrowException, UnicodeDecodeError, KeyError) as error:
        raise ConfigError(f"sample.prompts.path: '{path}' holds no prompts: {error}") from error


def digest(path: str) -> str:
    """Return the sha256 of a file of prompts."""
    return hashlib.sha256(_read(path)).hexdigest()


def validation_captions(folder: Folder, count: int) -> Iterator[Line]:
    """Yield the first `count` different captions of val; of train where val is empty."""
    seen: set[str] = set()
    part, kind = (VAL, "validation") if _any_rows(folder, VAL) else (TRAIN, "training")
    for caption in _captions(folder, part):
        if len(seen) == count:
            return
        if caption not in seen:
            seen.add(caption)
            yield {"prompt": caption, "set": kind}


def _captions(folder: Folder, part: str) -> Iterator[str]:
    for name in folder.list(part):
        with folder.open(name) as file, pq.ParquetFile(file) as table:
            for group in range(table.num_row_groups):
                yield from table.read_row_group(group, columns=["caption"])["caption"].to_pylist()


def _any_rows(folder: Folder, part: str) -> bool:
    return next(_captions(folder, part), None) is not None


def _read(path: str) -> bytes:
    try:
        with fsspec.open(path, "rb") as file:
            return bytes(file.read())
    except OSError as error:
        raise ConfigError(
            f"sample.prompts.path wants a file of prompts, found none at '{path}': {error}"
        ) from error


def _text(data: bytes) -> list[Line]:
    return [{"prompt": line} for line in data.decode("utf-8-sig").splitlines()]


def _json_lines(data: bytes) -> list[Line]:
    return [_json(line) for line in data.decode("utf-8-sig").splitlines()]


def _json(line: str) -> Line:
    try:
        value = json.loads(line or "{}")
    except json.JSONDecodeError:
        return None
    return {"prompt": value} if isinstance(value, str) else value if _is_row(value) else None


def _is_row(value: object) -> bool:
    return isinstance(value, dict)


def _table(data: bytes, separator: str) -> list[Line]:
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig")), delimiter=separator)
    if "prompt" not in (rows.fieldnames or ()):
        raise KeyError(f"no column 'prompt' among {rows.fieldnames}")
    return list(rows)


def _parquet(data: bytes) -> list[Line]:
    table = pq.read_table(pa.BufferReader(data))
    return list(table.select([n for n in table.column_names if n in ("prompt", "set")]).to_pylist())
