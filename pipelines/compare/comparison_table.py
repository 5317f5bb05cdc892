"""What compare prints: tables of 80 columns."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from pipelines.command import shown
from pipelines.compare.comparison_file import FigureRow, RunComparison, StageRow
from pipelines.compare.setting_rows import DifferingRow
from stages.evaluate import formats
from stages.numbers import duration

NOISE = (
    "Noise is that of the pictures and prompts measured. How far apart two trainings end that "
    "differ in their seeds alone is not in it."
)
KINDS = {
    "what": "settings that decide the result",
    "input": "addresses of what is read",
    "how": "how stages ran, which decides no result",
}
NAME_WIDTH = 26


def show(console: Console, found: RunComparison) -> None:
    """Print everything: what differs in the making first, then figures, then what it took."""
    _runs(console, found)
    for kind, title in KINDS.items():
        rows = [row for row in found.settings if row.kind == kind]
        _differing(console, found, title, rows)
    if not found.settings:
        console.print("\nno setting differs")
    _differing(console, found, "code, libraries and what was read", found.code)
    tested, beyond = summary(found.figures, found.tested)
    console.print(f"\n[bold]beyond noise[/]: {tested}")
    for line in beyond:
        console.print(Padding(shown(line), (0, 0, 0, 2)))
    console.print(NOISE, style="dim")
    for section, own in groupby(found.figures, lambda row: row.section):
        _figures(console, found, section, list(own))
    for number, reason in enumerate(reasons(found), start=1):
        console.print(f"[dim]({number}) {shown(reason)}[/]")
    _differing(console, found, "checks that hold in some runs only", found.checks)
    _stages(console, found)
    _health(console, found)


def summary(figures: Sequence[FigureRow], tested: int) -> tuple[str, list[str]]:
    """Say how many differences are beyond noise, of how many tested, and then which."""
    lines = [
        f"{row.section}, {row.name}: {verdict.words}"
        for row in figures
        for verdict in row.verdicts
        if verdict.better is not None
    ]
    how_many = len(lines) or "none"
    if tested == 1:
        return f"{how_many} of 1 comparison", lines
    return f"{how_many} of {tested} comparisons, corrected for their number (Holm 1979)", lines


def reasons(found: RunComparison) -> list[str]:
    """Return in their order why figures were not compared, each once."""
    verdicts = (verdict for row in found.figures for verdict in row.verdicts)
    return list(dict.fromkeys(v.how for v in verdicts if v.finding == "not compared"))


def number(value: float | None, unit: str) -> str:
    """Write a figure in a few characters; shares in percent."""
    if value is None:
        return "-"
    if unit == "codes":
        return f"{value:,.0f}"
    return (
        f"{100 * value:.1f} %"
        if unit == "%"
        else f"{value:.2f}"
        if unit == "dB"
        else f"{value:.4g}"
    )


def per_second(rows: float) -> str:
    return f"{rows:,.0f} / s" if rows >= 10 else f"{rows:.2g} / s"


def bounds(interval: tuple[float, float] | None, unit: str) -> str:
    if interval is None:
        return ""
    if unit == "%":
        return formats.interval(interval)
    return f"{interval[0]:.2g} to {interval[1]:.2g}"


def _table(found: RunComparison, *heads: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(heads[0], max_width=NAME_WIDTH, overflow="fold")
    for run in found.runs:
        table.add_column(run.letter, justify="right", overflow="fold")
    for head in heads[1:]:
        table.add_column(head, overflow="fold")
    return table


def _runs(console: Console, found: RunComparison) -> None:
    for run in found.runs:
        when = f", {run.finished_at[:10]}" if run.finished_at else ""
        console.print(
            f"[bold]{run.letter}[/] {shown(run.place)} ({shown(run.preset)}{when})", soft_wrap=True
        )


def _differing(
    console: Console, found: RunComparison, title: str, rows: Sequence[DifferingRow]
) -> None:
    if rows:
        _print_texts(console, found, title, ((row.name, row.values) for row in rows))


def _figures(
    console: Console, found: RunComparison, section: str, rows: Sequence[FigureRow]
) -> None:
    table, numbered = _table(found, "", ""), reasons(found)
    for row in rows:
        unit = f", {row.unit}" if row.unit in ("dB", "nats") else ""
        cells = [number(value, row.unit) for value in row.values]
        if any(row.intervals):
            cells = [
                f"{cell}\n[dim]{bounds(interval, row.unit)}[/]"
                for cell, interval in zip(cells, row.intervals, strict=True)
            ]
        table.add_row(shown(row.name) + unit, *cells, "\n".join(_words(row, numbered)))
    console.print(f"\n[bold]{shown(section)}[/]")
    console.print(table)


def _words(row: FigureRow, numbered: Sequence[str]) -> Iterator[str]:
    """Yield what is known of each other run; with several, each begins with its letter."""
    for verdict in row.verdicts:
        named = len(row.verdicts) > 1
        words = f"{verdict.run}: {verdict.words}" if named else verdict.words
        if verdict.finding == "not compared":
            words += f" ({numbered.index(verdict.how) + 1})"
        yield f"[bold]{words}[/]" if verdict.better else words


def _stages(console: Console, found: RunComparison) -> None:
    console.print("\n[bold]stages[/]: rows written, time, rows per second (machines differ)")
    table = _table(found, "", "")
    for row in found.stages:
        cells = [_pace(row, place) for place in range(len(found.runs))]
        table.add_row(shown(row.stage), *cells, "the same artifact" if row.same_artifact else "")
    console.print(table)


def _pace(row: StageRow, place: int) -> str:
    rows, seconds, pace = row.rows_out[place], row.seconds[place], row.rows_per_second[place]
    if rows is None or seconds is None or pace is None:
        return "-"
    return f"{rows:,}\n{duration(seconds)}\n{per_second(pace)}"


def _health(console: Console, found: RunComparison) -> None:
    for row in found.stages:
        if row.health:
            _print_texts(console, found, f"{row.stage} measured", row.health.items())


def _print_texts(
    console: Console,
    found: RunComparison,
    title: str,
    rows: Iterable[tuple[str, Sequence[str]]],
) -> None:
    table = _table(found, "")
    for name, values in rows:
        table.add_row(shown(name), *map(shown, values))
    console.print(f"\n[bold]{shown(title)}[/]")
    console.print(table)
