"""How many pairs came in, how many are left, and why each of the others is not there."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from schemas.artifacts import CLEAN_PAIRS, DROPPED_ROWS, PAIRS, TOKEN_PAIRS
from schemas.folder import Inputs
from stages.evaluate.reading import Row, rows

EXAMPLES = 3  # rows shown for each reason
LOOKED_AT = 20_000  # rows searched for examples, so that a huge crawl costs no more than a small


def funnel(inputs: Inputs) -> list[dict[str, Any]]:
    """Return one step for each of crawl, filter and encode, in order.

    A step has `stage`, `rows_in`, `kept`, and `reasons`: a list of `reason`, `rows`, `examples`.
    """
    columns = ["url", "caption", "reason", "detail", "status"]
    listed = islice(rows(inputs.folder(PAIRS), "", columns), LOOKED_AT)
    failed = (row for row in listed if row["status"] != "ok")
    dropped = islice(
        rows(inputs.folder(CLEAN_PAIRS), DROPPED_ROWS, ["url", "caption", "reason"]), LOOKED_AT
    )
    crawl, clean = inputs.manifest(PAIRS), inputs.manifest(CLEAN_PAIRS)
    tokens = inputs.manifest(TOKEN_PAIRS)
    # Filter passes on what crawl could not fetch: here each row is counted where it got lost.
    filtered = {r: n for r, n in clean.rejects.items() if r not in crawl.rejects}
    return [
        _step("crawl", crawl.rows_in, crawl.rejects, failed),
        _step("filter", clean.rows_out + sum(filtered.values()), filtered, dropped),
        _step("encode", tokens.rows_in, tokens.rejects, iter(())),
    ]


def _step(
    stage: str, rows_in: int, rejects: Mapping[str, int], examples: Iterator[Row]
) -> dict[str, Any]:
    found: dict[str, list[Row]] = {}
    for row in examples:
        of_reason = found.setdefault(row["reason"], [])
        if len(of_reason) < EXAMPLES:
            of_reason.append({k: row[k] for k in ("url", "caption", "detail") if row.get(k)})
    by_size = sorted(rejects.items(), key=lambda item: (-item[1], item[0]))
    return {
        "stage": stage,
        "rows_in": rows_in,
        "kept": rows_in - sum(rejects.values()),
        "reasons": [
            {"reason": reason, "rows": count, "examples": found.get(reason, [])}
            for reason, count in by_size
        ],
    }
