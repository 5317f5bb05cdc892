"""Fetch and shrink every picture of the source; keep each row, with its picture or the reason.

Reads   url lists, a folder of pictures, or tars (outside inputs)
Writes  pairs  (rows.PAIR)
Where   Ray Data actors, one shard of the list each at a time, many threads that wait for servers
Paper   appendix C names the sources; section 2.2's crops set how large a picture is worth keeping
"""

from collections.abc import Callable
from typing import Any

from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import CrawlSettings
from stages.crawl.earlier import Earlier, earlier_crawl, leave_settings
from stages.crawl.outcome import damage, require_pictures
from stages.crawl.sources import INPUT, Piece, pieces, source_of, surveyed
from stages.data.digests import digest_of_files
from stages.shards import Made, Shard, run_shards

REVISION = 3


def run(inputs: Inputs, out: Folder, cfg: CrawlSettings) -> Result:
    """Crawl the source into `shard-*.parquet`, one row for every row of the source."""
    earlier = Earlier(cfg, REVISION) if cfg.earlier else None
    leave_settings(out, cfg, REVISION)
    shards = [Shard(f"shard-{p.index:05d}", p, rows=p.rows) for p in pieces(cfg, out)]
    outcome = run_shards(
        _fetch,
        {"cfg": cfg, "out": out, "earlier": earlier},
        shards,
        out,
        what="crawl",
        workers=cfg.run.workers,
        instead=_give_up,
        env={"OPENCV_IO_MAX_IMAGE_PIXELS": str(cfg.max_pixels)},  # read when OpenCV is imported
    )
    require_pictures(outcome, out, cfg.source)
    counted = surveyed(out) | damage(outcome)
    for name in out.list(INPUT):
        out.remove(name)
    success_share = round(outcome.rows_out / max(outcome.rows_in, 1), 4)
    return outcome.result(health={"success_share": success_share} | counted)


def _fetch(**how: Any) -> Callable[[Piece], Made]:
    """Import what fetches where it is needed, in the worker."""
    from stages.crawl.fetch import FetchPiece

    return FetchPiece(**how)


def _give_up(**how: Any) -> Callable[[tuple[Piece, str]], Made]:
    """Keep the rows of a piece that kills every worker, each with the reason `quarantined`."""
    from stages.crawl.fetch import FetchPiece

    work = FetchPiece(**how)
    return lambda payload: work.give_up(*payload)


def outside(cfg: CrawlSettings) -> dict[str, str]:
    """Return digests of the source, and of the earlier crawl whose results stay."""
    found = {}
    if cfg.earlier:
        found["crawl.earlier"] = earlier_crawl(cfg.earlier).content
    files = source_of(cfg.source).files() if cfg.source.path else []  # one can plan without a path
    if files:
        found[f"crawl.source ({cfg.source.kind})"] = digest_of_files(files)
    return found
