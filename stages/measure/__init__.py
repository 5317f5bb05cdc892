"""Score each pair by itself: its words and language, and what its picture looks like.

Reads   pairs     (rows.PAIR)
Writes  measured  (rows.MEASURED, one row for each pair, in the same files and order)
Where   Ray Data actors, one shard of pairs at a time
Paper   appendix C filters by these scores; the filter has the thresholds
"""

from schemas.artifacts import PAIRS
from schemas.errors import SchemaMismatch
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import MeasureSettings
from stages.data.digests import digest_of
from stages.measure.pairs import MeasureCaptions, MeasurePairs
from stages.shards import Shard, run_shards
from stages.shards.records import evenly
from stages.storage import reaching

REVISION = 2


def run(inputs: Inputs, out: Folder, cfg: MeasureSettings) -> Result:
    """Score every pair, shard by shard.

    Raises SchemaMismatch if the shards hold fewer or more rows than the crawl has counted.
    """
    pairs, rows_in = inputs.folder(PAIRS), inputs.manifest(PAIRS).rows_in
    names = pairs.list("shard-")
    measured = run_shards(
        MeasurePairs,
        {"pairs": pairs, "cfg": cfg},
        [Shard(n, n, rows) for n, rows in zip(names, evenly(rows_in, len(names)), strict=True)],
        out,
        what="measure",
        workers=cfg.run.workers,
        instead=MeasureCaptions,
    )
    if measured.rows_in != rows_in:
        raise SchemaMismatch(
            f"wanted {rows_in} rows in {pairs.url}, found {measured.rows_in}; "
            "make them again with `--force crawl`"
        )
    return measured.result()


def outside(cfg: MeasureSettings) -> dict[str, str]:
    if not cfg.clip:
        return {}
    with reaching(cfg.clip, "measure.clip"):
        return {"measure.clip": digest_of(cfg.clip)}
