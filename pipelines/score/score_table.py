"""What score prints: tables of 80 columns, and a sentence for each problem."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from pipelines.command import shown
from pipelines.score.score_file import PublishedRow, ScoreFile, System, label
from stages.metrics.reported import FeatureNetwork, Reported

BY_RADIUS = {
    "fid": "FID by blur radius, lower is better",
    "fd": "Frechet distance by blur radius, lower is better",
    "inception_score": "Inception Score by blur radius, higher is better",
}
HEADS = {
    "kid": "KID x1000", "cmmd": "CMMD", "clip_score": "CLIP score", "precision": "precision",
    "recall": "recall", "density": "density", "coverage": "coverage",
    "fid_without_bias": "FID without bias (95 %)", "fid_at_infinity": "at infinity",
    "fd_without_bias": "FD without bias (95 %)", "fd_at_infinity": "at infinity",
}  # fmt: skip
SHARES = ("precision", "recall", "density", "coverage")
UNBLURRED = (
    ("kid", "cmmd", "clip_score"),
    SHARES,
    ("fid_without_bias", "fid_at_infinity", "fd_without_bias", "fd_at_infinity"),
)  # fmt: skip
MARK = "*"
NAME_WIDTH = 26


class Line(NamedTuple):
    """A system's values in a table, by column."""

    name: str
    values: Mapping[object, Reported]


def show(console: Console, found: ScoreFile, beside: Mapping[str, ScoreFile]) -> None:
    """Print every number, those of earlier evaluations and of papers beside them."""
    rows = [(label(one), one) for one in found.systems]
    for address, file in beside.items():
        rows += [(f"{label(one)} ({Path(address).name})", one) for one in file.systems]
    for network in _networks(found):
        console.print(f"\n[bold]{shown(network.name)}[/] {network.sha256[:12]}")
        for text in _how(found, network):
            console.print(f"  {shown(text)}")
        for metric, title in BY_RADIUS.items():
            _by_radius(console, found, rows, network, metric, title)
        _unblurred(console, rows, network)
    _flags(console, found)
    if any(value.metric == "fid" for system in found.systems for value in system.values):
        _sources(console, found.published)
    for whose, problem in found.problems:
        console.print(f"{shown(whose)}: {shown(problem.sentence)}")


def _networks(found: ScoreFile) -> list[FeatureNetwork]:
    return list({v.network.sha256: v.network for s in found.systems for v in s.values}.values())


def _how(found: ScoreFile, network: FeatureNetwork) -> Iterator[str]:
    """Yield what all numbers of a network were made with."""
    values = [v for s in found.systems for v in s.values if v.network == network]
    first = next(value for value in values if value.reference is not None)
    assert first.reference is not None
    for record in {v.reference.sha256: v.reference for v in values if v.reference}.values():
        yield f"reference  {record.name}, {record.count:,} pictures, {record.sha256[:12]}"
    yield f"pictures   {first.parameters['pictures']}"
    yield f"resize     to {first.resize.side}, {first.parameters['convention']}"


def _by_radius(
    console: Console,
    found: ScoreFile,
    rows: Sequence[tuple[str, System]],
    network: FeatureNetwork,
    metric: str,
    title: str,
) -> None:
    def radius(value: Reported) -> object:
        return value.parameters.get("blur_radius")

    lines = list(_lines(rows, network, (metric,), radius))
    if not lines:
        return
    console.print(f"\n{title}")
    table = _table(["system", "pictures", *(f"{r:g}" for r in found.radii)])
    for line in lines:
        _add(table, line, found.radii)
    for row in found.published if metric != "fd" else ():
        published = row.fid if metric == "fid" else row.inception_score
        cells = [f"{published[r]:.2f}" if r in published else "" for r in found.radii]
        table.add_row(shown(row.system), "published", *cells, style="dim")
    console.print(table)


def _unblurred(
    console: Console, rows: Sequence[tuple[str, System]], network: FeatureNetwork
) -> None:
    shown_before = False
    for metrics in UNBLURRED:
        lines = list(_lines(rows, network, metrics, lambda value: value.metric))
        columns = [one for one in metrics if any(one in line.values for line in lines)]
        if columns:
            console.print("" if shown_before else "\nwithout blur")
            shown_before = True
            table = _table(["system", "pictures", *(HEADS[metric] for metric in columns)])
            for line in lines:
                _add(table, line, columns)
            console.print(table)


def _lines(
    rows: Sequence[tuple[str, System]],
    network: FeatureNetwork,
    metrics: Sequence[str],
    column: Callable[[Reported], object],
) -> Iterator[Line]:
    """Yield a line for each system, and one for what it is without overlaps."""
    for name, system in rows:
        parts: dict[str, dict[object, Reported]] = {}
        for value in system.values:
            if value.network == network and value.metric in metrics:
                part = str(value.parameters.get("overlap", ""))
                parts.setdefault(part, {})[column(value)] = value
        for part, values in parts.items():
            yield Line(f"  without {part}" if part else name, values)


def _table(heads: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(heads[0], max_width=NAME_WIDTH, no_wrap=True, overflow="ellipsis")
    for head in heads[1:]:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _add(table: Table, line: Line, columns: Sequence[object]) -> None:
    first = next(iter(line.values.values()))
    cells = [_number(line.values[key]) if key in line.values else "" for key in columns]
    table.add_row(shown(line.name), f"{first.count:,}", *cells)


def _number(value: Reported) -> str:
    number = 1_000 * value.value if value.metric == "kid" else value.value
    text = f"{number:.3f}" if value.metric in SHARES else _short(number)
    if value.interval:
        text += f" ({_short(value.interval[0])} to {_short(value.interval[1])})"
    return text + (MARK if value.flag else "")


def _short(number: float) -> str:
    """Write a number with two decimals, or a small one with two digits."""
    return f"{number:.2f}" if abs(number) >= 0.1 or number == 0 else f"{number:.2g}"


def _flags(console: Console, found: ScoreFile) -> None:
    flags = dict.fromkeys(v.flag for s in found.systems for v in s.values if v.flag)
    if flags:
        console.print()
    for flag in flags:
        console.print(f"{MARK} {flag}")
    if len({system.count for system in found.systems}) > 1:
        console.print(
            "These systems have different numbers of pictures, on which all but KID and CLIP score "
            "depend: only equal numbers compare."
        )


def _sources(console: Console, rows: Sequence[PublishedRow]) -> None:
    if rows:
        console.print("\npublished, not measured here, each by its own protocol:", style="dim")
    for row in rows:
        text = f"  {row.system}: {row.source}; {row.protocol}"
        console.print(shown(text), style="dim")
