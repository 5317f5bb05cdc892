"""What score prints: tables of 80 columns, and a sentence for each problem."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from pipelines.command import shown
from pipelines.score.score_file import ScoreFile
from pipelines.score.score_rows import (
    ScoreTable,
    all_systems,
    fidelity_table,
    flags,
    sections,
    shapes_table,
    sources,
)

NAME_WIDTH = 26


def show(console: Console, found: ScoreFile, beside: Mapping[str, ScoreFile]) -> None:
    """Print every number, those of earlier evaluations and of papers beside them."""
    systems = all_systems(found, beside)
    for section in sections(found, systems):
        console.print(f"\n[bold]{shown(section.network.name)}[/] {section.network.sha256[:12]}")
        for text in section.made_with:
            console.print(f"  {shown(text)}")
        for table in section.tables:
            _print(console, table)
    for one in (fidelity_table(systems), shapes_table(systems)):
        if one is not None:
            _print(console, one)
    if said := flags(found):
        console.print()
    for text in said:
        console.print(text)
    _print_sources(console, found)
    for whose, problem in found.problems:
        console.print(f"{shown(whose)}: {shown(problem.sentence)}")


def _print(console: Console, table: ScoreTable) -> None:
    console.print(f"\n{table.title}" if table.title else "")
    found = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    found.add_column("system", max_width=NAME_WIDTH, no_wrap=True, overflow="ellipsis")
    for head in ("pictures", *table.columns):
        found.add_column(head, justify="right", no_wrap=True)
    for row in table.rows:
        style = "dim" if row.is_published else None
        found.add_row(shown(row.name), row.pictures, *row.cells, style=style)
    console.print(found)


def _print_sources(console: Console, found: ScoreFile) -> None:
    texts = sources(found)
    if texts:
        console.print("\npublished, not measured here, each by its own protocol:", style="dim")
    for text in texts:
        console.print(shown(f"  {text}"), style="dim")
