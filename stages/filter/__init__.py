"""Keep the pairs worth learning from, and count why each of the others was dropped.

Reads   pairs        (rows.PAIR)
Writes  clean_pairs  (rows.CLEAN_PAIR in train/ and val/, rows.DROPPED in dropped/)
Where   Ray Data actors, two passes over shards, no state
Paper   appendix C: caption length, English, boilerplate, aspect ratio; the rules are in rules.py
"""

import math

from schemas.artifacts import PAIRS
from schemas.configs import FilterJob
from schemas.errors import SchemaMismatch
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from stages.filter.funnel import funnel
from stages.filter.passes import PARTS, GatherBucket, ScorePairs
from stages.shards import Outcome, Shard, run_shards

REVISION = 1


def run(inputs: Inputs, out: Folder, cfg: FilterJob) -> Result:
    """Judge every pair, then write the kept ones in buckets and the dropped ones beside them."""
    names = inputs.folder(PAIRS).list("shard-")
    rows_in = inputs.manifest(PAIRS).rows_in
    scored = run_shards(
        ScorePairs,
        {"pairs": inputs.folder(PAIRS), "cfg": cfg},
        [Shard(f"score-{n}", n, rows=math.ceil(rows_in / len(names))) for n in names],
        out,
        what="filter: score",
        workers=cfg.workers,
    )
    if scored.rows_in != rows_in:
        raise SchemaMismatch(
            f"wanted {rows_in} rows in {inputs.folder(PAIRS).url}, found {scored.rows_in}; "
            "make them again with `--force crawl`"
        )
    gathered = run_shards(
        GatherBucket,
        {
            "out": out,
            "parts": [PARTS + name for name in names],
            "validation_below": validation_below(scored, cfg.validation_share),
            "cfg": cfg,
        },
        [
            Shard(f"bucket-{bucket:05d}", bucket, rows=math.ceil(scored.rows_out / cfg.buckets))
            for bucket in range(cfg.buckets)
        ],
        out,
        what="filter: gather",
        workers=cfg.workers,
    )
    for name in out.list(PARTS):
        out.remove(name)
    files = {**scored.files, **gathered.files}
    return Result(
        rows_in=rows_in,
        rows_out=gathered.rows_out,
        rejects={**scored.rejects, **gathered.rejects},
        health={
            "funnel": funnel(rows_in, [scored, gathered]),
            "validation_rows": sum(s.health["validation_rows"] for s in gathered.stats),
        },
        files={name: digest for name, digest in files.items() if not name.startswith(PARTS)},
    )


def validation_below(scored: Outcome, share: float) -> float:
    """Return the ticket below which a group validates: the share, moved so that no side is empty.

    A small corpus may hold no group below a small share; then the group with the lowest ticket is
    taken, or, at the other end, the one with the highest is left to train.
    """
    lowest = [s.health["lowest_ticket"] for s in scored.stats if s.rows_out]
    highest = [s.health["highest_ticket"] for s in scored.stats if s.rows_out]
    if not lowest or min(lowest) == max(highest) or share in (0, 1):
        return share
    above_lowest = math.nextafter(min(lowest), 1)
    return min(max(share, above_lowest), max(highest))
