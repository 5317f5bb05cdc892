"""The funnel of pairs: how many rows came to each rule, how many it dropped, and examples."""

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from schemas.artifacts import DROPPED_ROWS
from schemas.folder import Folder
from stages.data.parquet import read_table
from stages.filter.rules import REASONS, wanted
from stages.shards import Outcome

EXAMPLES = 20  # rows shown for each reason
SHOWN = ["key", "url", "caption"]
LONGEST = 200  # letters of an example's caption


def funnel(rows_in: int, passes: Sequence[Outcome], out: Folder) -> list[dict[str, Any]]:
    """Return one step per reason in the order of the rules, the crawl's own reasons first.

    A step has `rule`, `wanted` (empty for the crawl's), `rows_in`, `dropped` and `examples` (key,
    url, caption).
    """
    dropped: dict[str, int] = {}
    where: dict[str, list[str]] = {}  # reason -> the first files that hold rows of it
    for outcome in passes:
        dropped |= outcome.rejects
        for stats in outcome.stats:
            file = next(name for name in stats.files if name.startswith(DROPPED_ROWS))
            for reason in stats.rejects:
                if len(files := where.setdefault(reason, [])) < EXAMPLES:
                    files.append(file)
    crawled = sorted(reason for reason in dropped if reason not in REASONS)
    steps = []
    for rule in (*crawled, *REASONS):
        steps.append(
            {
                "rule": rule,
                "wanted": wanted(rule).replace("`", ""),
                "rows_in": rows_in,
                "dropped": dropped.get(rule, 0),
                "examples": examples(out, rule, where.get(rule, [])),
            }
        )
        rows_in -= dropped.get(rule, 0)
    return steps


def examples(out: Folder, reason: str, files: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first dropped rows of a reason, from files each of which holds some."""
    found: list[dict[str, Any]] = []
    for name in files:
        if len(found) < EXAMPLES:
            table = read_table(out, name, [*SHOWN, "reason"])
            of_reason = table.filter(pc.equal(table["reason"], reason)).select(SHOWN)
            found += of_reason.slice(0, EXAMPLES - len(found)).to_pylist()
    return [row | {"caption": row["caption"] and row["caption"][:LONGEST]} for row in found]
