"""Keep the pairs worth learning from, and count the reasons why the others were dropped.

Reads   pairs        (rows.PAIR), measured (rows.MEASURED)
Writes  clean_pairs  (rows.CLEAN_PAIR in train/ and val/, rows.DROPPED in dropped/; overlaps/)
Where   one task compares the signatures of all pairs; then Ray Data actors, two passes over shards
Paper   appendix C: caption length, English, boilerplate, aspect ratio; the rules are in rules.py
"""

import logging
import math

from schemas.artifacts import MEASURED, PAIRS
from schemas.errors import ConfigError, SchemaMismatch
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import FilterSettings
from stages.data.digests import digest_of
from stages.filter.all_pairs import COMPARED, compare
from stages.filter.bucket_files import PARTS, buckets_for
from stages.filter.decide import DecidePairs
from stages.filter.dropped import most_dropped, too_much
from stages.filter.funnel import funnel
from stages.filter.gather import GatherBucket
from stages.shards import Outcome, Shard, run_once, run_shards
from stages.shards.records import evenly
from stages.storage import reaching, system_of

log = logging.getLogger(__name__)

REVISION = 3
SETS_REVISION = 2  # of what is done with evaluation sets: raised, it leaves runs without one alone


def run(inputs: Inputs, out: Folder, cfg: FilterSettings) -> Result:
    """Judge every pair, then write the kept ones in buckets and the dropped ones beside them."""
    require_same_pairs(inputs)
    pairs, measured = inputs.folder(PAIRS), inputs.folder(MEASURED)
    names, rows_in = pairs.list("shard-"), inputs.manifest(PAIRS).rows_in
    buckets = buckets_for(inputs.manifest(PAIRS).rows_out, cfg.buckets)
    common = run_once(compare, measured, names, out, cfg)
    decided = run_shards(
        DecidePairs,
        {"pairs": pairs, "measured": measured, "out": out, "buckets": buckets, "cfg": cfg},
        [
            Shard(f"decide-{name}", name, rows)
            for name, rows in zip(names, evenly(rows_in, len(names)), strict=True)
        ],
        out,
        what="filter: decide",
        workers=cfg.run.workers,
    )
    gathered = run_shards(
        GatherBucket,
        {
            "out": out,
            "parts": names,
            "validation_below": validation_below(decided, cfg.validation_share),
            "cfg": cfg,
        },
        [
            Shard(f"bucket-{bucket:05d}", bucket, rows)
            for bucket, rows in enumerate(evenly(decided.rows_out, buckets))
        ],
        out,
        what="filter: gather",
        workers=cfg.run.workers,
    )
    for name in out.list(PARTS) + out.list(COMPARED):
        out.remove(name)
    files = {**decided.files, **gathered.files}
    steps = funnel(rows_in, [decided, gathered], out)
    for line in most_dropped(steps):
        log.info("%-12s %s", "filter", line)
    warning = too_much(steps, inputs.manifest(PAIRS).settings.get("source", {}).get("kind"))
    if warning:
        log.warning("%-12s %s", "filter", warning)
    return Result(
        rows_in=rows_in,
        rows_out=gathered.rows_out,
        rejects={**decided.rejects, **gathered.rejects},
        health={
            "funnel": steps,
            "warning": warning,
            "validation_rows": sum(s.health["validation_rows"] for s in gathered.stats),
            **common,
        },
        files={name: digest for name, digest in files.items() if not name.startswith(PARTS)},
    )


def require_same_pairs(inputs: Inputs) -> None:
    """Raise SchemaMismatch if other pairs were scored, as `--only filter` may find them."""
    pairs, measured = inputs.manifest(PAIRS), inputs.manifest(MEASURED)
    if measured.inputs[PAIRS.name].content_sha256 != pairs.content_sha256:
        raise SchemaMismatch(
            f"wanted scores of the pairs in {inputs.folder(PAIRS).url}, found those of pairs with "
            "other content; run measure again, with `--from measure`"
        )


def outside(cfg: FilterSettings) -> dict[str, str]:
    """Return digests of the evaluation sets, and the revision of what is done with them.

    Raises ConfigError for an evaluation set that is not there.
    """
    found = {"filter.decontaminate": f"revision {SETS_REVISION}"} if cfg.decontaminate else {}
    for number, path in enumerate(cfg.decontaminate):
        name = f"filter.decontaminate[{number}]"
        with reaching(path, name):
            system, top = system_of(path)
            if not system.exists(top):
                raise ConfigError(
                    f"wanted an evaluation set at '{path}', found nothing; set "
                    "filter.decontaminate to folders of pictures or Parquet files"
                )
            found[name] = digest_of(path)
    return found


def validation_below(decided: Outcome, share: float) -> float:
    """Return the hash below which a group goes to val: the share, moved so that no side is empty.

    In a small corpus no group may be below a small share; then val gets the group with the lowest
    hash. At the other end, train keeps the one with the highest.
    """
    lowest = [s.health["lowest_hash"] for s in decided.stats if s.rows_out]
    highest = [s.health["highest_hash"] for s in decided.stats if s.rows_out]
    if not lowest or min(lowest) == max(highest) or share in (0, 1):
        return share
    above_lowest = math.nextafter(min(lowest), 1)
    return min(max(share, above_lowest), max(highest))
