"""Judge a finished crawl: how much of its source is damaged, and whether it has any picture."""

from typing import Any

import pyarrow.parquet as pq

from schemas.errors import UserError
from schemas.folder import Folder
from schemas.settings import SourceSettings
from stages.shards import Outcome, stats_file

DAMAGED = "damaged"  # in a shard's health, and in the stage's


def damage(outcome: Outcome) -> dict[str, Any]:
    """Return how many rows of the source are damaged, and what is said of the first of them."""
    found = [stats.health[DAMAGED] for stats in outcome.stats if DAMAGED in stats.health]
    if not found:
        return {}
    return {DAMAGED: {"rows": sum(one["rows"] for one in found), "first": found[0]["first"]}}


def require_pictures(outcome: Outcome, out: Folder, source: SourceSettings) -> None:
    """Raise UserError if not one row could be had: then nothing is done, and all is to do again.

    The web may have been down, or a folder out of the workers' sight.
    """
    if outcome.rows_out or not outcome.rows_in:
        return
    example = _example(outcome, out)
    for stats in outcome.stats:  # first, so that a kill here leaves no finished shard
        out.remove(stats_file(stats.name))
    for name in outcome.files:
        out.remove(name)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in outcome.rejects.items())
    raise UserError(
        f"wanted pictures from '{source.path or source.kind}', found none: of {outcome.rows_in:,} "
        f"rows not one could be had ({reasons}; the first: {example}); mend what is wrong and run "
        "the same command again, which asks for all of them again"
    )


def _example(outcome: Outcome, out: Folder) -> str:
    name = min(name for name in outcome.stats[0].files)
    with out.open(name) as file:
        row = next(pq.ParquetFile(file).iter_batches(1, columns=["url", "detail"])).to_pylist()[0]
    detail = str(row["detail"])
    return detail if row["url"] in detail else f"{row['url']}: {detail}"
