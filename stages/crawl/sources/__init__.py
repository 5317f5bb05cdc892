"""Where pairs come from: url lists, folders of pictures and tars, cut into pieces.

A url list in Parquet is cut where it lies, by its row counts. Everything else is first streamed
into Parquet lists under `input/` of the output, so that memory stays bounded, a resumed run cuts
the same pieces, and the workers know one format.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.configs import CrawlJob, SourceSettings
from schemas.errors import ConfigError
from schemas.folder import Folder
from stages.crawl.sources.folder import folder_files, folder_rows
from stages.crawl.sources.found import found_files
from stages.crawl.sources.listed import Row
from stages.crawl.sources.lists import write_lists
from stages.crawl.sources.names import renamed, tell
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.tables import normal
from stages.crawl.sources.tars import tar_files, tar_rows
from stages.crawl.sources.text_lists import TEXT_SUFFIXES, read_text_list, suffix_of

INPUT, INPUT_DONE, INPUT_SURVEY = "input/", "input/done.json", "input/survey.json"
LIST_SUFFIXES = (".parquet", *TEXT_SUFFIXES)
LOG = logging.getLogger(__name__)
BATCH_ROWS = 10_000  # of a Parquet list that is brought to another form


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `start + rows` of a Parquet list: what one worker crawls at a time."""

    index: int
    file: str
    start: int
    rows: int
    ours: bool  # one of our lists under `input/`, else the user's own file


def pieces(cfg: CrawlJob, out: Folder) -> list[Piece]:
    """Cut the source into pieces of `rows_per_shard` rows; the same cut every time.

    Raises ConfigError if there is nothing at the path or the columns are not there.
    """
    files = list_files(cfg.source) if cfg.source.kind in ("urls", "world") else []
    if files and all(file.lower().endswith(".parquet") for file in files):
        with ThreadPoolExecutor(16) as threads:
            sizes = list(threads.map(lambda file: _rows_of(file, cfg.source), files))
        return _cut(zip(files, sizes, strict=True), cfg, ours=False)
    if not out.exists(INPUT_DONE):
        survey = Survey("pictures")
        listing = write_lists(_rows(files, cfg.source, survey), out, INPUT, cfg.rows_per_shard)
        if cfg.source.kind == "folder":
            LOG.info("crawl: %s", survey.sentence(cfg.source.path))
            out.commit(INPUT_SURVEY, json.dumps(survey.counts()).encode())
        out.commit(INPUT_DONE, json.dumps(listing).encode())
    with out.open(INPUT_DONE) as done:
        return _cut(json.load(done), cfg, ours=True)


def surveyed(out: Folder) -> dict[str, Any]:
    """Return how many files of the source are read and passed over, where they were counted."""
    if not out.exists(INPUT_SURVEY):
        return {}
    with out.open(INPUT_SURVEY) as file:
        return {"source": json.load(file)}


def _cut(listing: Iterable[Sequence[Any]], cfg: CrawlJob, *, ours: bool) -> list[Piece]:
    found: list[Piece] = []
    for file, rows in listing:
        for start in range(0, rows, cfg.rows_per_shard):
            size = min(cfg.rows_per_shard, rows - start)
            found.append(Piece(len(found), file, start, size, ours))
    if not found:
        raise ConfigError(f"wanted rows in '{cfg.source.path}', found none; give it some")
    return found


def list_files(source: SourceSettings) -> list[str]:
    """Return the addresses of the url lists in order; raise ConfigError if there are none."""
    return found_files(source.path, LIST_SUFFIXES, suffix_of, "a url list")


def files_of(source: SourceSettings) -> list[tuple[str, str | None]]:
    """Return the name and the address of all that is read, in order; None: the name is all."""
    if source.kind == "folder":
        return folder_files(source)
    if source.kind == "tars":
        return [*tar_files(source)]
    return [(file.rpartition("/")[2], file) for file in list_files(source)]


def _rows_of(file: str, source: SourceSettings) -> int:
    with fsspec.open(file, "rb") as handle:
        parquet = _parquet(handle, file)
        tell(renamed(parquet.schema_arrow.names, source, file), file)
        return parquet.metadata.num_rows


def _parquet(handle: Any, file: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(handle)
    except pa.ArrowInvalid as error:
        raise ConfigError(
            f"wanted a Parquet file at {file}, found none: {error}; take it out, or mend it"
        ) from error


def _rows(files: Sequence[str], source: SourceSettings, survey: Survey) -> Iterator[Row]:
    if source.kind == "folder":
        yield from folder_rows(source, survey)
    elif source.kind == "tars":
        yield from tar_rows(source)
    for file in files:
        if suffix_of(file) == ".parquet":  # gzip, or beside lists in text, so it joins them
            yield from _parquet_rows(file, source)
        else:
            yield from read_text_list(file, source)


def _parquet_rows(file: str, source: SourceSettings) -> Iterator[Row]:
    with tempfile.TemporaryFile() as whole:  # of a compressed file nothing can be skipped
        with fsspec.open(file, "rb", compression="infer") as handle:
            shutil.copyfileobj(handle, whole)
        for batch in _parquet(whole, file).iter_batches(BATCH_ROWS):
            yield from normal(pa.table(batch), source, file).to_pylist()


def read_piece(piece: Piece, source: SourceSettings, out: Folder) -> pa.Table:
    """Return the piece's rows in the LISTED form."""
    opened = out.open(piece.file) if piece.ours else fsspec.open(piece.file, "rb").open()
    with opened as handle:
        rows = _slice(pq.ParquetFile(handle), piece.start, piece.rows)
    return rows if piece.ours else normal(rows, source, piece.file)


def _slice(parquet: pq.ParquetFile, start: int, rows: int) -> pa.Table:
    """Read the row groups that overlap, in small batches, because a group may be huge."""
    groups, first, before = [], None, 0
    for group in range(parquet.num_row_groups):
        size = parquet.metadata.row_group(group).num_rows
        if before < start + rows and before + size > start:
            first = before if first is None else first
            groups.append(group)
        before += size
    position, kept = first or 0, []
    for batch in parquet.iter_batches(batch_size=65_536, row_groups=groups):
        low = max(start - position, 0)
        high = min(start + rows - position, len(batch))
        if low < high:
            kept.append(batch.slice(low, high - low))
        position += len(batch)
    return pa.Table.from_batches(kept, parquet.schema_arrow)
