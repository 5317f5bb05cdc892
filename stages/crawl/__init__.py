"""Fetch every picture of the source, bounded and shrunk; keep each row, with what came of it.

Reads   url lists, a folder of pictures, or tars (outside inputs)
Writes  pairs  (rows.PAIR)
Where   Ray Data actors, one shard of the list each at a time, many threads that wait for servers
Paper   appendix C names the sources; section 2.2's crops set how large a picture is worth keeping
"""

from schemas.configs import CrawlJob
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from stages.crawl.content import content_of, files_of
from stages.crawl.sources import INPUT, Piece, pieces
from stages.shards import Made, Shard, run_shards

REVISION = 1


def run(inputs: Inputs, out: Folder, cfg: CrawlJob) -> Result:
    """Crawl the source into `shard-*.parquet`, one row for every row of the source."""
    shards = [Shard(f"shard-{p.index:05d}", p, rows=p.rows) for p in pieces(cfg, out)]
    outcome = run_shards(
        _Fetch,
        {"cfg": cfg, "out": out},
        shards,
        out,
        what="crawl",
        workers=cfg.workers,
        env={  # both are read when the libraries are imported
            "OPENCV_IO_MAX_IMAGE_PIXELS": str(cfg.max_pixels),
            "NO_ALBUMENTATIONS_UPDATE": "1",
        },
    )
    for name in out.list(INPUT):
        out.remove(name)
    return Result(
        rows_in=outcome.rows_in,
        rows_out=outcome.rows_out,
        rejects=outcome.rejects,
        health={"success_share": round(outcome.rows_out / max(outcome.rows_in, 1), 4)},
        files=outcome.files,
    )


class _Fetch:
    """Imports img2dataset where it is needed, in the worker, and hands the work on."""

    def __init__(self, cfg: CrawlJob, out: Folder) -> None:
        from stages.crawl.fetch import FetchPiece

        self.work = FetchPiece(cfg, out)

    def __call__(self, piece: Piece) -> Made:
        return self.work(piece)


def outside(cfg: CrawlJob) -> dict[str, str]:
    """Return the digest of the url lists, folder or tars; the demo's world needs none."""
    if cfg.source.kind == "world" or not cfg.source.path:  # without a path one can still plan
        return {}  # a pure function of settings that are in the fingerprint
    return {f"crawl.source ({cfg.source.kind})": content_of(files_of(cfg.source))}
