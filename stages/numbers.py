"""Numbers as people read them on a terminal, in logs and in the report."""

import math


def compact(number: float) -> str:
    """Write a number in three digits: 12.1 k, 3.4 M, 12 B."""
    for unit in ("", " k", " M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1_000
    return f"{number:.3g} B" if number < 999.5 else f"{number:,.0f} B"


def byte_size(count: float) -> str:
    """Write a number of bytes in three digits: 397 KiB, 12.2 MiB."""
    if not count:
        return "none"
    for unit in ("KiB", "MiB"):
        count /= 1024
        if count < 999.5:
            return f"{count:.3g} {unit}"
    return f"{count / 1024:.3g} GiB"


def duration(seconds: float) -> str:
    """Write a time in its two largest units: 1m13s, 5h07m, 3d04h."""
    if seconds == math.inf:
        return "unknown"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02d}h"
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"
