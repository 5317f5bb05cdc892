"""Where pairs come from: url lists, folders of pictures and tars, cut into pieces.

A url list in Parquet is cut where it lies, by its row counts. Everything else is first streamed
into Parquet lists under `input/` of the output, so that memory stays bounded, a resumed run cuts
the same pieces, and the workers know one format.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from schemas.errors import ConfigError
from schemas.folder import Folder
from schemas.settings import CrawlSettings, SourceSettings
from stages.crawl.sources.folder import folder_files, folder_rows
from stages.crawl.sources.found import Kind, found_files
from stages.crawl.sources.listed import Row
from stages.crawl.sources.lists import write_lists
from stages.crawl.sources.parquet_lists import PARQUET, packed_rows, read_ours, read_rows, rows_in
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.tars import tar_files, tar_rows
from stages.crawl.sources.text_lists import TEXT_SUFFIXES, read_text_list, suffix_of
from stages.threads import in_threads

INPUT, INPUT_DONE, INPUT_SURVEY = "input/", "input/done.json", "input/survey.json"
NO_ROWS = "lists without rows"
AS_CSV, AS_PARQUET = "save the table as CSV", "write it as Parquet"
LISTS = Kind(
    "urls",
    "a url list",
    "url lists",
    (PARQUET, *TEXT_SUFFIXES),
    suffix_of,
    hidden=(".", "_"),  # as Spark and Delta name what is none of the table's parts
    otherwise={
        ".txt": "a list needs captions too, so write a CSV with the columns url and caption",
        **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers", ".db", ".sqlite"), AS_CSV),
        **dict.fromkeys((".arrow", ".feather", ".orc", ".avro", ".pkl", ".npy"), AS_PARQUET),
        **dict.fromkeys((".pq", ".parq"), f"give it the ending {PARQUET}"),
        **dict.fromkeys((".zst", ".lz4", ".zip", ".7z", ".rar"), "unpack it, or pack it with gzip"),
    },
    alone=(".json",),  # beside others it tells of them
)
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `start + rows` of a Parquet list: what one worker crawls at a time."""

    index: int
    file: str
    start: int
    rows: int
    ours: bool  # one of our lists under `input/`, else the user's own file


def pieces(cfg: CrawlSettings, out: Folder) -> list[Piece]:
    """Cut the source into pieces of `rows_per_shard` rows; the same cut every time.

    Raises ConfigError if there is nothing at the path or the columns are not there.
    """
    files, survey = list_files(cfg.source) if _is_listed(cfg.source) else ([], Survey("pictures"))
    if files and all(file.lower().endswith(PARQUET) for file in files):
        sizes = list(in_threads(partial(rows_in, source=cfg.source), files))
        for file, rows in zip(files, sizes, strict=True):
            _count(survey, file, rows)
        _say(survey, cfg.source, out, any(sizes))
        return _cut(zip(files, sizes, strict=True), cfg, ours=False)
    if not out.exists(INPUT_DONE):
        listing = write_lists(_rows(files, cfg.source, survey), out, INPUT, cfg.rows_per_shard)
        _say(survey, cfg.source, out, bool(listing))
        out.commit(INPUT_DONE, json.dumps(listing).encode())
    with out.open(INPUT_DONE) as done:
        return _cut(json.load(done), cfg, ours=True)


def _is_listed(source: SourceSettings) -> bool:
    return source.kind in ("urls", "world")


def _count(survey: Survey, file: str, rows: int) -> None:
    if not rows:
        survey.found -= 1
        survey.pass_over(NO_ROWS, file.rpartition("/")[2])


def _say(survey: Survey, source: SourceSettings, out: Folder, has_rows: bool) -> None:
    """Tell once what is read and what is passed over; raise ConfigError if that is all of it."""
    sentence = survey.sentence(source.path)
    if not has_rows:
        raise ConfigError(
            f"wanted rows in '{source.path}', found none ({sentence}); give it some, or another "
            "crawl.source.path"
        )
    if source.kind != "world" and not out.exists(INPUT_SURVEY):
        LOG.info("crawl: %s", sentence)
        out.commit(INPUT_SURVEY, json.dumps(survey.counts()).encode())


def surveyed(out: Folder) -> dict[str, Any]:
    """Return how many files of the source are read and passed over, where they were counted."""
    if not out.exists(INPUT_SURVEY):
        return {}
    with out.open(INPUT_SURVEY) as file:
        return {"source": json.load(file)}


def _cut(listing: Iterable[Sequence[Any]], cfg: CrawlSettings, *, ours: bool) -> list[Piece]:
    found: list[Piece] = []
    for file, rows in listing:
        for start in range(0, rows, cfg.rows_per_shard):
            size = min(cfg.rows_per_shard, rows - start)
            found.append(Piece(len(found), file, start, size, ours))
    return found


def list_files(source: SourceSettings) -> tuple[list[str], Survey]:
    """Return the addresses of the url lists in order; raise ConfigError if there are none."""
    return found_files(source.path, LISTS)


def files_of(source: SourceSettings) -> list[tuple[str, str | None]]:
    """Return the name and the address of all that is read, in order; None: the name is all."""
    if source.kind == "folder":
        return folder_files(source)
    if source.kind == "tars":
        return [*tar_files(source)[0]]
    return [(file.rpartition("/")[2], file) for file in list_files(source)[0]]


def _rows(files: Sequence[str], source: SourceSettings, survey: Survey) -> Iterator[Row]:
    if source.kind == "folder":
        yield from folder_rows(source, survey)
    elif source.kind == "tars":
        yield from tar_rows(source, survey)
    for file in files:
        is_parquet = suffix_of(file) == PARQUET  # packed, or beside lists in text, so it joins them
        number = 0
        for row in packed_rows(file, source) if is_parquet else read_text_list(file, source):
            number += 1
            yield row
        _count(survey, file, number)


def read_piece(piece: Piece, source: SourceSettings, out: Folder) -> pa.Table:
    """Return the piece's rows in the LISTED form."""
    if not piece.ours:
        return read_rows(piece.file, piece.start, piece.rows, source)
    with out.open(piece.file) as handle:
        return read_ours(handle, piece.start, piece.rows)
