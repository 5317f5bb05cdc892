"""The kinds of sources, and how the rows of a source are cut into pieces.

A url list in Parquet is cut where it lies, by its row counts. Everything else is first streamed
into Parquet lists under `input/` of the output, so that memory stays bounded, a resumed run cuts
the same pieces, and the workers know one format.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from schemas.errors import ConfigError
from schemas.folder import Folder
from schemas.settings import CrawlSettings, SourceSettings
from stages.crawl.sources.lists import write_lists
from stages.crawl.sources.parquet_lists import read_ours, read_rows
from stages.crawl.sources.picture_folder import PictureFolder
from stages.crawl.sources.source import Source
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.tars import Tars
from stages.crawl.sources.url_lists import UrlLists, World

SOURCES: Mapping[str, type[Source]] = {
    "urls": UrlLists,
    "folder": PictureFolder,
    "tars": Tars,
    "world": World,
}
INPUT, INPUT_DONE, INPUT_SURVEY = "input/", "input/done.json", "input/survey.json"
LOG = logging.getLogger(__name__)


def source_of(settings: SourceSettings) -> Source:
    return SOURCES[settings.kind](settings)


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
    source, survey = source_of(cfg.source), Survey("pictures")
    if listing := source.parquet_lists(survey):
        _report(survey, source, out, any(rows for _, rows in listing))
        return _cut(listing, cfg, ours=False)
    if not out.exists(INPUT_DONE):
        written = write_lists(source.rows(survey), out, INPUT, cfg.rows_per_shard)
        _report(survey, source, out, bool(written))
        out.commit(INPUT_DONE, json.dumps(written).encode())
    with out.open(INPUT_DONE) as done:
        return _cut(json.load(done), cfg, ours=True)


def _report(survey: Survey, source: Source, out: Folder, has_rows: bool) -> None:
    """Tell once what is read and what is passed over; raise ConfigError if that is all of it."""
    path = source.settings.path
    sentence = survey.sentence(path)
    if not has_rows:
        raise ConfigError(
            f"wanted rows in '{path}', found none ({sentence}); give it some, or another "
            "crawl.source.path"
        )
    if source.is_surveyed and not out.exists(INPUT_SURVEY):
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


def read_piece(piece: Piece, source: SourceSettings, out: Folder) -> pa.Table:
    if not piece.ours:
        return read_rows(piece.file, piece.start, piece.rows, source)
    with out.open(piece.file) as handle:
        return read_ours(handle, piece.start, piece.rows)
