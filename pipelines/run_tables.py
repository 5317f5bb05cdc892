"""Tables that full.py prints in 80 columns: the stages, the plan, and the outcome of a run."""

from collections.abc import Iterator, Sequence

import torch
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from infra.store import Store
from pipelines.command import shown
from pipelines.planner import Stage, Step
from schemas.artifacts import CLEAN_PAIRS, PAIRS, REPORT
from schemas.errors import ConfigError
from schemas.run_report import read_report
from schemas.settings import Settings
from stages import markdown
from stages.crawl.sources import SOURCES
from stages.filter.dropped import most_dropped
from stages.training.hardware import matrix_product

WIDTH = 80
STATES = {
    "done": "done",
    "run": "will run",
    "resume": "will resume",
    "stale": "inputs changed, will run",
    "check": "runs if its inputs change",
}


def stage_table(stages: Sequence[Stage]) -> str:
    """Render the stages as a Markdown table, for the README."""
    rows = []
    for stage in stages:
        file = f"{stage.name}/" if hasattr(stage.module, "__path__") else f"{stage.name}.py"
        reads = ", ".join(artifact.name for artifact in stage.reads) or "the web, or a folder"
        writes = f"{stage.writes.name}: {stage.writes.content}"
        rows.append((f"[{stage.name}](stages/{file})", reads, writes))
    return markdown.table(("stage", "reads", "writes"), rows)


def show_plan(
    steps: Sequence[Step], settings: Settings, store: Store, why: Sequence[str] = ()
) -> None:
    """Print each stage's artifact, whether it would run, and what that costs; first `why` so.

    Raises ConfigError if a stage that would run cannot, on the hardware of the settings.
    """
    table = Table("stage", "artifact", "state", "cost", box=None, pad_edge=False)
    forecasts = {step.stage.name: step.stage.forecast() for step in steps}
    for step in steps:
        state = STATES[step.state] if step.chosen else "not selected"
        took = f"took {step.manifest.seconds:,.0f} s" if step.manifest is not None else ""
        table.add_row(step.stage.name, step.address, state, took or forecasts[step.stage.name].cost)
    console = Console(width=WIDTH)
    console.print(f"root {shown(store.root)}", soft_wrap=True)
    for reason in why:
        console.print(Padding(shown(reason), (0, 0, 0, 2)), highlight=False)
    console.print(table)
    if sentence := unnamed_source(settings, steps):
        console.print(f"\nbefore a run: {sentence}", markup=False)
    for name in [step.stage.name for step in steps if step.runs]:
        if lines := forecasts[name].lines:
            table = Table(name, "", "", box=None, pad_edge=False)
            table.columns[1].justify = "right"
            for line in lines:
                table.add_row(*line)
            console.print()
            console.print(table)
        if forecasts[name].refusal:
            raise ConfigError(forecasts[name].refusal)


def unnamed_source(settings: Settings, steps: Sequence[Step]) -> str:
    """Ask in a sentence for the source that the crawl lacks; empty if it is named or not read."""
    source = settings.crawl.source
    crawls = any(step.stage.writes == PAIRS and step.runs for step in steps)
    wanted = SOURCES[source.kind].wants
    if not crawls or source.path or not wanted:
        return ""
    return f"crawl.source.kind={source.kind} needs crawl.source.path, found none; name {wanted}"


def show_run(steps: Sequence[Step], store: Store) -> None:
    """Print rows, rejects and seconds per stage, the accuracies and the report's path."""
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for name in ("rows in", "rows out", "rejects", "seconds"):
        table.add_column(name, justify="right")
    finished = [(step.stage.name, step.manifest) for step in steps if step.manifest is not None]
    for name, m in finished:
        rejects = sum(m.rejects.values())
        table.add_row(
            name, f"{m.rows_in:,}", f"{m.rows_out:,}", f"{rejects:,}", f"{m.seconds:,.1f}"
        )
    total = sum(manifest.seconds for _, manifest in finished)
    table.add_section()
    table.add_row("total", "", "", "", f"{total:,.1f}")
    console = Console(width=WIDTH)
    console.print(table)
    kinds, cpu = (torch.float32, torch.bfloat16), torch.device("cpu")
    single, half = (matrix_product(cpu, kind) / 1e9 for kind in kinds)
    console.print(
        f"this machine: {single:,.0f} GFLOP/s in float32, {half:,.0f} in bfloat16 (matmul)"
    )
    for line in _dropped(steps):
        console.print(line, markup=False, highlight=False)
    report = next((s for s in steps if s.stage.writes == REPORT and s.manifest is not None), None)
    if report is not None:
        _headline(store, report, console)
        console.print(f"report: {shown(store.root.rstrip('/'))}/report.html", soft_wrap=True)


def shortfalls(steps: Sequence[Step], store: Store) -> str:
    """Describe in a sentence what finished stages had to leave out; empty if nothing."""
    found = []
    for step in steps:
        if step.manifest is None or not step.chosen:
            continue
        if shards := step.manifest.quarantined:
            found.append(
                f"{step.stage.name} finished without {len(shards)} quarantined shards "
                f"({', '.join(shards[:5])}): they failed on every worker, so the pictures of their "
                "rows are left out"
            )
        if damaged := step.manifest.health.get("damaged"):
            found.append(
                f"{step.stage.name} finished, but its source is damaged and {damaged['rows']:,} "
                f"rows could not be read (the first: {damaged['first']}): repair that file and set "
                f"crawl.earlier={store.root.rstrip('/')}/{step.address} to keep what was fetched"
            )
    return "; ".join(found)


def _dropped(steps: Sequence[Step]) -> Iterator[str]:
    """Yield what the filter dropped most, and its warning if that is much of a folder."""
    for step in steps:
        if step.stage.writes == CLEAN_PAIRS and step.manifest is not None:
            health = step.manifest.health
            yield from (f"filter {line}" for line in most_dropped(health["funnel"]))
            if warning := health.get("warning"):
                yield f"filter: {warning}"


def _headline(store: Store, step: Step, console: Console) -> None:
    """Print the accuracies of the report, if it has any."""
    accuracy = read_report(store.folder(REPORT.name, step.fingerprint)).accuracy
    sets = {} if accuracy is None else accuracy.sets
    for kind in ("seen", "held_out", "two_shapes"):
        if kind in sets:
            best, single = sets[kind].reranked, sets[kind].single
            console.print(f"judged right, {kind:10} best of all {best:4.0%}, single {single:4.0%}")
