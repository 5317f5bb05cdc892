"""How numbers of the report are written on its page."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.run_report.baselines_part import ComparedPart
from schemas.run_report.report_part import Change, ReportPart
from stages.evaluate.checks import amount

NBSP = "\N{NO-BREAK SPACE}"
UNIT = re.compile(r"(?<=\d) (?=%|dB|nats)")
NARROW = 2  # percent between the ends of an interval
VALUE_LENGTH = 200  # characters of one setting or measurement


def percent(share: float) -> str:
    return f"{100 * share:.1f}{NBSP}%"


def interval(bounds: Sequence[float]) -> str:
    """Format two shares as percent, in tenths where they are so near that whole ones hide both."""
    low, high = (100 * bound for bound in bounds)
    digits = 1 if high - low < NARROW else 0
    return f"{low:.{digits}f}\N{EN DASH}{high:.{digits}f}{NBSP}%"


def unbroken(text: str) -> str:
    """Keep each number and its unit on one line."""
    return UNIT.sub(NBSP, text)


def points(gain: Change) -> str:
    """Format the size of a change in points, with its standard error if known."""
    error = gain.standard_error
    share = f"{100 * abs(gain.share):.1f}"
    return share if error is None else f"{share} ± {100 * error:.1f}"


def change(gain: Change) -> str:
    """Format a change in points with its sign."""
    sign = "-" if gain.share < 0 else "+"
    return sign + points(gain)


def difference(row: ComparedPart) -> str:
    """Format the difference of a comparison with its sign, and its standard error if known."""
    scale, unit = (100, "points") if row.unit == "%" else (1, row.unit)
    digits, error = {"points": 1, "dB": 1}.get(unit, 3), row.standard_error
    spread = "" if error is None else f" ± {scale * error:.{digits}f}"
    return f"{scale * row.difference:+.{digits}f}{spread} {unit}".rstrip()


def flat(tree: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return the leaves of a tree of dicts and report's parts as dotted names and short texts."""
    found = []
    for name, value in tree.items():
        if isinstance(value, ReportPart):
            value = value.model_dump(mode="json")
        if isinstance(value, Mapping):
            found += flat(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", textwrap.shorten(str(value), VALUE_LENGTH)))
    return found


FILTERS = (amount, change, difference, flat, interval, percent, points, unbroken)
