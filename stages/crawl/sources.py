"""Where pairs come from: url lists and folders of pictures, cut into pieces without reading them.

A url list in Parquet is cut where it lies, by its row counts. Everything else (CSV, TSV, JSONL, a
folder) is first streamed into Parquet lists under `input/` of the output, so that memory stays
bounded, a resumed run cuts the same pieces, and the workers know one format.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.configs import CrawlJob, SourceSettings
from schemas.errors import ConfigError
from schemas.folder import Folder
from stages.crawl.folder import folder_rows
from stages.crawl.listed import LISTED, check_columns, normal
from stages.crawl.text_lists import TEXT_SUFFIXES, read_text_list, suffix_of

INPUT, INPUT_DONE = "input/", "input/done.json"
LIST_ROWS = 100_000  # rows per list file that we write, which is what memory holds


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
    files = [] if cfg.source.kind == "folder" else list_files(cfg.source)
    if files and all(suffix_of(file) == ".parquet" for file in files):
        with ThreadPoolExecutor(16) as threads:
            sizes = list(threads.map(lambda file: _rows_of(file, cfg.source), files))
        return _cut(zip(files, sizes, strict=True), cfg.rows_per_shard, ours=False)
    if not out.exists(INPUT_DONE):
        listing = _write_lists(_rows(files, cfg.source), out)
        out.commit(INPUT_DONE, json.dumps(listing).encode())
    with out.open(INPUT_DONE) as done:
        return _cut(json.load(done), cfg.rows_per_shard, ours=True)


def _cut(listing: Iterable[Sequence[Any]], rows_per_shard: int, *, ours: bool) -> list[Piece]:
    found: list[Piece] = []
    for file, rows in listing:
        for start in range(0, rows, rows_per_shard):
            found.append(Piece(len(found), file, start, min(rows_per_shard, rows - start), ours))
    return found


def list_files(source: SourceSettings) -> list[str]:
    """Return the url list, or all of them if the path is a folder, as addresses in order."""
    system, path = fsspec.core.url_to_fs(source.path)
    if not source.path or not system.exists(path):
        raise ConfigError(
            f"wanted a url list at crawl.source.path, found nothing at '{source.path}'; "
            "set crawl.source.path to a Parquet, CSV, TSV or JSONL file, or a folder of them"
        )
    known = (".parquet", *TEXT_SUFFIXES)
    found = sorted(system.find(path)) if system.isdir(path) else [path]
    files = [system.unstrip_protocol(file) for file in found if suffix_of(file) in known]
    if not files:
        raise ConfigError(
            f"wanted a url list at '{source.path}', found none that ends in {', '.join(known)}; "
            "give the file one of these endings"
        )
    return files


def _rows_of(file: str, source: SourceSettings) -> int:
    with fsspec.open(file, "rb") as handle:
        parquet = pq.ParquetFile(handle)
        check_columns(parquet.schema_arrow.names, source, file)
        return parquet.metadata.num_rows


def _rows(files: Sequence[str], source: SourceSettings) -> Iterator[dict[str, str | None]]:
    if source.kind == "folder":
        yield from folder_rows(source)
    for file in files:
        if suffix_of(file) == ".parquet":  # beside lists in text, so it joins them
            with fsspec.open(file, "rb") as handle:
                for batch in pq.ParquetFile(handle).iter_batches():
                    yield from normal(pa.table(batch), source, file).to_pylist()
        else:
            yield from read_text_list(file, source)


def _write_lists(rows: Iterator[dict[str, str | None]], out: Folder) -> list[tuple[str, int]]:
    listing: list[tuple[str, int]] = []
    while block := list(islice(rows, LIST_ROWS)):
        name = f"{INPUT}list-{len(listing):05d}.parquet"
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(block, LISTED), buffer, row_group_size=10_000)
        out.commit(name, buffer.getvalue().to_pybytes())
        listing.append((name, len(block)))
    return listing


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
