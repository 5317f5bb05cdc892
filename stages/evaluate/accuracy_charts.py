"""The report's charts of accuracy: what was right, and what choosing among more adds to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from stages.evaluate.charts import Bar, Estimate, doubling_chart, share_bars

Judged = Sequence[tuple[str, Mapping[str, Any]]]  # sets of prompts, with their part of the report
LINES = 3  # that a reader can tell apart
KEYS = {"held_out": "never seen", "seen": "seen", "two_shapes": "two shapes"}


def accuracy_chart(judged: Judged) -> Markup:
    """Draw reranked, single and chance of each set below each other."""
    bars = []
    for name, row in judged:
        title = name.replace("_", " ")
        for key in ("reranked", "single", "chance"):
            low, high = row.get(f"{key}_interval", (0.0, 0.0))
            bars.append(Bar(f"{title}, {key}", row[key], low, high, strong=key == "reranked"))
    return share_bars(bars, "Judged accuracy with 95 % intervals") if bars else Markup("")


def reranking_charts(judged: Judged) -> list[Markup]:
    """Draw how often CLIP's favourite is right, and its score, by how many there are to choose."""
    right, scores = {}, {}
    for name, row in judged[:LINES]:
        found = {int(count): of for count, of in row["by_candidates"].items()}
        key = KEYS.get(name, name)
        right[key] = [Estimate(n, of["right"], *of["right_interval"]) for n, of in found.items()]
        scores[key] = [Estimate(n, of["clip_score"]) for n, of in found.items()]
    unit = "candidates to choose from"
    return [
        doubling_chart(right, "CLIP's favourite is right", unit, percent=True),
        doubling_chart(scores, "its score, on average", unit),
    ]
