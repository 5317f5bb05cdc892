"""Numbers as people read them: in logs, on a terminal, on the report's page."""


def compact(number: float) -> str:
    """Write a large number in three or four digits: 12.3 k, 1.2 B."""
    for unit in ("", " k", " M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1_000
    return f"{number:,.3g} B"
