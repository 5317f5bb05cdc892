"""How many pairs each stage read and kept, and the reasons for the others."""

from collections.abc import Iterator, Mapping
from itertools import islice

from schemas.artifacts import CLEAN_PAIRS, PAIRS, TOKEN_PAIRS
from schemas.folder import Inputs
from schemas.manifest import Manifest
from schemas.run_report.stages_part import FunnelStep, LostRow, LostRows
from stages.data.parquet import Row, read_rows

EXAMPLES = 20  # rows kept for each reason
LOOKED_AT = 20_000  # rows searched for examples, so that a huge crawl costs no more than a small


def funnel(inputs: Inputs) -> tuple[FunnelStep, ...]:
    """Return one step for each of crawl, filter and encode, in order."""
    columns = ["url", "caption", "reason", "detail", "status"]
    listed = islice(read_rows(inputs.folder(PAIRS), "shard-", columns), LOOKED_AT)
    failed = (row for row in listed if row["status"] != "ok")
    crawl, clean = inputs.manifest(PAIRS), inputs.manifest(CLEAN_PAIRS)
    tokens = inputs.manifest(TOKEN_PAIRS)
    return (
        _step("crawl", crawl.rows_in, crawl.rejects, failed),
        _filter_step(crawl, clean),
        _step("encode", tokens.rows_in, tokens.rejects, iter(())),
    )


def _filter_step(crawl: Manifest, clean: Manifest) -> FunnelStep:
    """Return the filter's step: every rule in order, with the rows that reached it.

    The filter also counts what crawl could not fetch; here each row counts where it was lost.
    """
    rules = [step for step in clean.health["funnel"] if step["rule"] not in crawl.rejects]
    return FunnelStep(
        stage="filter",
        rows_in=rules[0]["rows_in"] if rules else clean.rows_out,
        kept=clean.rows_out,
        reasons=tuple(
            LostRows(
                reason=rule["rule"],
                wanted=rule["wanted"],
                rows_in=rule["rows_in"],
                rows=rule["dropped"],
                examples=rule["examples"],
            )
            for rule in rules
        ),
    )


def _step(
    stage: str, rows_in: int, rejects: Mapping[str, int], examples: Iterator[Row]
) -> FunnelStep:
    found: dict[str, list[LostRow]] = {}
    for row in examples:
        of_reason = found.setdefault(row["reason"], [])
        if len(of_reason) < EXAMPLES:
            of_reason.append(LostRow(url=row["url"], caption=row["caption"], detail=row["detail"]))
    by_size = sorted(rejects.items(), key=lambda item: (-item[1], item[0]))
    return FunnelStep(
        stage=stage,
        rows_in=rows_in,
        kept=rows_in - sum(rejects.values()),
        reasons=tuple(
            LostRows(reason=reason, rows=count, examples=tuple(found.get(reason, ())))
            for reason, count in by_size
        ),
    )
