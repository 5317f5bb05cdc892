"""Shares of what is right: with their intervals, by chance, and as they change."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from schemas.run_report.report_part import Change
from stages.evaluate.intervals import Names, interval, standard_error


def share(name: str, hits: Sequence[bool], names: Sequence[Names]) -> dict[str, Any]:
    """Return the fields `name` and `name`_interval of a part of the report."""
    return {name: float(np.mean(hits)), f"{name}_interval": list(interval(hits, names))}


def chance(right: np.ndarray) -> float:
    """Return the accuracy of pictures handed to other prompts than their own.

    `right[i, j]`: would the picture drawn for prompt j do for prompt i, or what share of it? The
    mean over all i != j has no luck of one shuffle in it; it is what a drawer scores who does not
    read the prompt.
    """
    count = len(right)
    if count < 2:
        return 0.0
    return float((right.sum() - np.trace(right)) / (count * (count - 1)))


def change(before: Sequence[float], after: Sequence[float], names: Sequence[Names]) -> Change:
    """Return the mean change of a share, paired by prompt, so that unchanged ones add no noise."""
    changes = np.asarray(after, float) - np.asarray(before, float)
    error = standard_error(changes.tolist(), names)
    return Change(share=float(changes.mean()), standard_error=error)
