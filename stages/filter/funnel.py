"""The funnel of pairs: how many rows each rule saw, how many it dropped, and a few of them."""

from collections.abc import Sequence
from typing import Any

from stages.filter.decide import EXAMPLES
from stages.filter.rules import REASONS
from stages.shards import Outcome


def funnel(rows_in: int, passes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return one step per reason in the order of the rules, the crawl's own reasons first.

    A step has `rule`, `rows_in`, `dropped` and `examples` (key, url, caption).
    """
    dropped: dict[str, int] = {}
    examples: dict[str, list[Any]] = {}
    for outcome in passes:
        dropped |= outcome.rejects
        for stats in outcome.stats:
            for reason, found in stats.health["examples"].items():
                kept = examples.setdefault(reason, [])
                kept += found[: EXAMPLES - len(kept)]
    crawled = sorted(reason for reason in dropped if reason not in REASONS)
    steps = []
    for rule in (*crawled, *REASONS):
        steps.append(
            {
                "rule": rule,
                "rows_in": rows_in,
                "dropped": dropped.get(rule, 0),
                "examples": examples.get(rule, []),
            }
        )
        rows_in -= dropped.get(rule, 0)
    return steps
