"""One line of the report's checks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that should hold, what was found, and what it means if it does not."""

    what: str
    found: str
    wanted: str
    good: bool
    meaning: str  # said only when it is not good
