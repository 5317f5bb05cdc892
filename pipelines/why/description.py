"""Describe what happened to a row of the crawl, in lines of 80 columns."""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from pipelines.command import printable
from schemas import rows
from schemas.artifacts import DROPPED_ROWS
from stages.filter.rules import RULES

WIDTH, INDENT = 80, 10
PAPER = Console(width=WIDTH, file=io.StringIO())
MOST_KEPT = 5  # rows of a duplicate's group to name

Row = Mapping[str, Any]


def describe(
    row: Row,
    verdict: Row | None,
    thresholds: Mapping[str, Any] | None,
    kept_instead: Sequence[Row],
    encoded: Row | Literal["unfinished"] | None,
) -> Iterator[str]:
    """Yield lines about one row of the crawl.

    `verdict` is its row in clean_pairs, `thresholds` the filter's settings (None: it has not run
    on this crawl), `encoded` its row in token_pairs.
    """
    yield from lines("key", row["key"])
    yield from lines("url", row["url"] or "(none)")
    yield from lines("caption", row["caption"] if row["caption"] is not None else "(none)")
    yield from lines("crawl", crawled(row))
    if thresholds is None:
        yield from lines("filter", "has not finished on this crawl")
        return
    if verdict is None:
        yield from lines("filter", "has no row with this key")
        return
    yield from lines("filter", judged(verdict))
    if row["status"] == "ok":
        for text in measures(verdict, thresholds):
            yield from lines("", text)
    for kept in kept_instead[:MOST_KEPT]:
        yield from lines("", f"kept instead: {kept['key']} {kept['url']}")
    if len(kept_instead) > MOST_KEPT:
        yield from lines("", f"and {len(kept_instead) - MOST_KEPT:,} more of its group")
    if not verdict.get("reason"):
        yield from lines("tokens", tokens(encoded))


def lines(label: str, text: str) -> list[str]:
    """Wrap a text beside its label, escaped for a terminal."""
    words = " ".join(printable(text).split())
    wrapped = Text(words).wrap(PAPER, WIDTH - INDENT)  # counts wide characters as two
    starts = [label.ljust(INDENT), *repeat(" " * INDENT, len(wrapped) - 1)]
    found = zip(starts, wrapped, strict=True)
    return [f"{start}{line.plain}".rstrip() for start, line in found]


def crawled(row: Row) -> str:
    if row["status"] != "ok":
        detail = (row["detail"] or "").removeprefix(f"{row['reason']}: ")
        return f"failed: {row['reason']}" + (f" ({detail})" if detail else "")
    return (
        f"ok: {row['original_width']} x {row['original_height']} pixels, stored as "
        f"{row['width']} x {row['height']}; sha256 {row['sha256']}"
    )


def judged(verdict: Row) -> str:
    grouped = verdict.get("group") not in (None, "", verdict.get("sha256"))
    group = f"; group {verdict['group']}" if grouped else ""
    if verdict.get("reason"):
        return f"dropped: {verdict['reason']}{group}"
    split, _, _ = verdict["file"].partition("/")
    return f"kept for {split}, in {verdict['file']}{group}"


def measures(verdict: Row, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield each score with its bounds, marked if it is outside them."""
    for score in (field.name for field in rows.SCORES):
        value = verdict.get(score)
        if value is None:
            continue
        bounds = [
            rule for rule in RULES if rule.score == score and rule.limit(settings) is not None
        ]
        said = [f"{r.wants} {r.limit(settings):g}" for r in bounds if r.has_setting]
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        broken = any(rule.is_broken(verdict, settings) for rule in bounds)
        yield f"{score} {text}" + f" ({', '.join(said)})" * bool(said) + " <- fails" * broken


def tokens(encoded: Row | Literal["unfinished"] | None) -> str:
    if encoded == "unfinished":
        return "encode has not finished on these clean_pairs"
    if encoded is None:
        return "not encoded"
    if encoded["file"].startswith(DROPPED_ROWS):
        return f"encode dropped it: {encoded['reason']}"
    return f"encoded, in {encoded['file']}"
