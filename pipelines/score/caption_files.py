"""Read captions: MS-COCO's file, CUB's folder, a table, lines, texts beside pictures, or a run's.

| what is given | captions |
|---|---|
| `captions_val2014.json` (MS-COCO) | one of each picture |
| a folder with `text_c10/` and `testclasses.txt` (CUB, Reed et al. 2016) | all unique ones |
| `.jsonl` or `.parquet` with the columns `caption` and `picture` | one a row |
| `.txt` | one a line; the picture of line i (from 0) is called i |
| a folder of `NAME.txt` | the first line of each |
| the root of a run, or its samples | the prompts that it drew |
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.score.caption_set import Caption, CaptionSet, doubled
from pipelines.score.problems import Problem, problem
from pipelines.score.run_places import SAMPLE_TABLE, samples_of
from schemas.errors import ConfigError
from schemas.folder import Folder
from stages.data.digests import digest_of_files
from stages.data.parquet import NAME_COLUMNS, read_rows
from stages.pictures import SUFFIXES
from stages.storage import opened, reaching, text_lines

TEXTS, TEST_CLASSES = "text_c10", "testclasses.txt"  # of CUB
CAPTION_COLUMNS = ("caption", "text", "prompt")
TABLES = (".jsonl", ".parquet")
# What another file's JSON may raise; OverflowError is that of a number that is infinite.
NO_COCO = (ValueError, KeyError, TypeError, OverflowError, RecursionError)


def read_captions(address: str) -> CaptionSet:
    """Read a set of captions; raise ConfigError for one that is not there or not readable."""
    path = Path(address)
    try:
        if (samples := samples_of(address)) is not None:
            return of_run(address, samples)
        return _of_folder(path) if path.is_dir() else _of_file(address)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--captions: wanted captions at '{path}', found {_brief(error)}; give MS-COCO's "
            "captions_*.json, CUB's folder, a .jsonl, .parquet or .txt file, or a folder of texts"
        ) from error


def _of_file(address: str) -> CaptionSet:
    path = Path(address)
    if path.suffix == ".json":
        return coco(address)
    if path.suffix in TABLES:
        return table(address)
    if path.suffix == ".txt":
        rows = enumerate(text_lines(read_file(address, "--captions")))
        return _plain(path, "lines of text", ((str(number), text) for number, text in rows))
    raise ConfigError(
        f"--captions: wanted a .json (MS-COCO), .jsonl, .parquet or .txt file, found '{path}'"
        f"{'' if path.exists() else ', which is not there'}; give one of these"
    )


def read_file(address: str, flag: str) -> bytes:
    """Return the bytes at a path or address; raise ConfigError if they cannot be had."""
    with reaching(address, flag), opened(address) as file:
        return bytes(file.read())


def _of_folder(path: Path) -> CaptionSet:
    if (path / TEXTS).is_dir():
        return cub(path)
    rows = (
        (str(file.relative_to(path).with_suffix("")), (_lines_of(file) or [""])[0])
        for file in _texts(path)
    )
    return _plain(path, "a text beside each picture", rows)


def of_run(place: str, samples: Folder) -> CaptionSet:
    """Return the prompts of a run, in their order."""
    rows = read_rows(samples, SAMPLE_TABLE, ("prompt_id", "prompt"))
    prompts = dict(sorted((row["prompt_id"], row["prompt"]) for row in rows))
    name = Path(place).name
    return _plain(Path(name), "a run's prompts", ((str(n), text) for n, text in prompts.items()))


def coco(address: str) -> CaptionSet:
    """Read MS-COCO's captions; a picture may be called by its file, its id or its caption's id."""
    content = read_file(address, "--captions")
    try:
        found = json.loads(content)
        images = {int(one["id"]): _text(one["file_name"]) for one in found["images"]}
        rows = [
            (int(o["id"]), int(o["image_id"]), _text(o["caption"])) for o in found["annotations"]
        ]
    except NO_COCO as error:
        raise ConfigError(
            f"--captions: wanted MS-COCO's `images` (id, file_name) and `annotations` (id, "
            f"image_id, caption) in '{address}', found {_brief(error)}; fetch the file again"
        ) from error
    captions = [
        Caption(text.strip(), (stem(images[image]), str(image), str(own)), images[image])
        for own, image, text in rows
        if image in images and text.strip()
    ]
    with_caption = {caption.picture for caption in captions}
    return CaptionSet(
        name=Path(address).name,
        sha256=hashlib.sha256(content).hexdigest(),
        format="MS-COCO",
        schemes=("the picture's file", "the picture's id", "the caption's id"),
        captions=tuple(captions),
        listed=len(rows),
        problems=(
            *problem("unlisted_picture", (str(own) for own, at, _ in rows if at not in images)),
            *problem("empty_caption", (str(o) for o, at, text in rows if not text.strip())),
            *problem("captionless", sorted(set(images.values()) - with_caption)),
        ),
        one_each=True,
    )


def cub(path: Path) -> CaptionSet:
    """Read the unique captions of the test classes; picture CLASS/BIRD_i is for line i (from 0)."""
    listed = (path / TEST_CLASSES).read_text("utf-8").split()
    files = [file for name in listed for file in sorted((path / TEXTS / name).glob("*.txt"))]
    rows = [
        Caption(text.strip(), (f"{file.parent.name}/{file.stem}_{i}",), f"{file.stem}.jpg")
        for file in files
        for i, text in enumerate(_lines_of(file))
    ]
    filled = [caption for caption in rows if caption.text]
    repeats = set(again := doubled(filled))
    return CaptionSet(
        name=path.name,
        sha256=digest_of_files(
            [(TEST_CLASSES, str(path / TEST_CLASSES))]
            + [(str(file.relative_to(path)), str(file)) for file in files]
        ),
        format="CUB",
        schemes=("class, picture and line",),
        captions=tuple(caption for caption in filled if caption.names[0] not in repeats),
        listed=len(rows),
        problems=(
            *problem("empty_caption", (one.names[0] for one in rows if not one.text)),
            *problem("repeated_caption", again),
        ),
    )


def table(address: str) -> CaptionSet:
    """Read a table with a caption and the name of its picture in each row."""
    rows = table_rows(address, "--captions")
    text, picture = (
        column(rows, names, address, "--captions") for names in (CAPTION_COLUMNS, NAME_COLUMNS)
    )
    datasets = {str(row.get("dataset", "a table")) for row in rows}  # as `lines` writes it
    form = datasets.pop() if len(datasets) == 1 else "a table"
    named = ((str(row[picture]), _text(row[text])) for row in rows)
    return _plain(Path(address), form, named)


def _plain(path: Path, form: str, rows: Iterable[tuple[str, str]]) -> CaptionSet:
    """Make a set of names, each with its caption; a picture may also have its caption's number."""
    listed = [(stem(name), text.strip()) for name, text in rows]
    by_name: dict[str, tuple[int, str]] = {}
    again = []
    for number, (name, text) in enumerate(listed):
        if name in by_name:
            again.append(name)
        by_name.setdefault(name, (number, text))
    content = "".join(f"{json.dumps(row)}\n" for row in listed)
    problems: list[Problem] = [
        *problem("doubled_name", again),
        *problem("empty_caption", (name for name, (_, text) in by_name.items() if not text)),
    ]
    return CaptionSet(
        name=path.name,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        format=form,
        schemes=("the picture's name", "the number of the caption"),
        captions=tuple(
            Caption(text, (name, str(number))) for name, (number, text) in by_name.items() if text
        ),
        listed=len(listed),
        problems=tuple(problems),
    )


def table_rows(address: str, flag: str) -> list[Mapping[str, Any]]:
    """Read the rows of a JSONL or Parquet file that fits in memory; raise ConfigError."""
    data = read_file(address, flag)
    try:
        if not address.endswith(".parquet"):
            return list(_objects(data))
        with pq.ParquetFile(pa.BufferReader(data)) as parquet:
            plain = [field.name for field in parquet.schema_arrow if is_plain(field.type)]
            return parquet.read(plain).to_pylist()
    except (ValueError, pa.ArrowException) as error:
        raise ConfigError(
            f"{flag}: wanted a readable table at '{address}', found {_brief(error)}; replace it"
        ) from error


def is_plain(kind: pa.DataType) -> bool:
    """Return whether a column has texts or numbers, not files of pictures."""
    return pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _objects(data: bytes) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text_lines(data), 1):
        if line.strip():
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(found, dict):
                raise ValueError(f"line {number}: no object in braces")
            yield found


def column(rows: list[Mapping[str, Any]], names: tuple[str, ...], place: str, flag: str) -> str:
    """Return which of these columns all rows have; raise ConfigError if none."""
    shared = set.intersection(*(set(row) for row in rows)) if rows else set()
    for name in names:
        if name in shared:
            return name
    raise ConfigError(
        f"{flag}: wanted rows with a column {' or '.join(names)} in '{place}', found "
        f"{', '.join(sorted(shared)) or 'none that all rows have'}; rename it"
    )


def stem(name: str) -> str:
    """Return a picture's name without the ending of a picture."""
    lower = name.lower()
    ending = next((ending for ending in SUFFIXES if lower.endswith(ending)), "")
    return name.removesuffix(name[len(name) - len(ending) :]) if ending else name


def _text(value: object) -> str:
    """Return a caption as text that can be written; null is an empty one."""
    return "" if value is None else str(value).encode(errors="replace").decode()


def _lines_of(file: Path) -> list[str]:
    return text_lines(file.read_bytes())


def _texts(path: Path) -> list[Path]:
    found = sorted(path.rglob("*.txt"))
    if not found:
        raise ConfigError(
            f"--captions: wanted {TEXTS}/ (CUB) or a NAME.txt for each picture in '{path}', found "
            "neither; give the file of captions itself"
        )
    return found


def _brief(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"no {error}"
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
