"""Lay finished runs side by side."""

from collections.abc import Sequence
from typing import Any

from pipelines.compare.compared_runs import ComparedRun
from pipelines.compare.comparison_file import RunComparison, RunRecord, StageRow
from pipelines.compare.figures import figures
from pipelines.compare.noise import ALPHA
from pipelines.compare.setting_rows import (
    MISSING,
    differing_checks,
    differing_code,
    differing_settings,
    flat_settings,
    nearest_preset,
    written,
)
from pipelines.compare.verdicts import judge_figures
from schemas.manifest import Manifest
from schemas.run_report.stages_part import StageRecord

ELSEWHERE = {"stages", "seconds", "versions", "funnel", "checks", "outcomes"}  # parts of a report


def side_by_side(runs: Sequence[ComparedRun]) -> RunComparison:
    """Return everything that is compared, but for curves and drawings."""
    reports = [run.report for run in runs]
    known = [one for one in figures(reports) if any(value is not None for value in one.values)]
    rows, tested = judge_figures(known, [run.letter for run in runs], reports)
    return RunComparison(
        runs=tuple(map(_record, runs)),
        settings=tuple(differing_settings(runs)),
        code=tuple(differing_code(runs)),
        figures=tuple(rows),
        checks=tuple(differing_checks(runs)),
        stages=tuple(_stage(name, runs) for name in _stages(runs)),
        numbers=_differing_leaves([r.model_dump(mode="json", exclude=ELSEWHERE) for r in reports]),
        alpha=ALPHA,
        tested=tested,
    )


def _record(run: ComparedRun) -> RunRecord:
    return RunRecord(
        letter=run.letter,
        place=run.place,
        report_sha256=run.sha256,
        finished_at=None if run.manifest is None else run.manifest.finished_at,
        preset=nearest_preset(run),
        artifacts=run.artifacts,
    )


def _stages(runs: Sequence[ComparedRun]) -> list[str]:
    return list(dict.fromkeys(stage for run in runs for stage in run.artifacts))


def _stage(name: str, runs: Sequence[ComparedRun]) -> StageRow:
    found = [_of_stage(run, name) for run in runs]
    return StageRow(
        stage=name,
        same_artifact=len({run.artifacts.get(name) for run in runs}) == 1,
        rows_out=tuple(None if one is None else one.rows_out for one in found),
        seconds=tuple(None if one is None else one.seconds for one in found),
        rows_per_second=tuple(None if one is None else one.rows_per_second for one in found),
        health=_differing_leaves(
            [{} if one is None else one.health | {"rejects": one.rejects} for one in found]
        ),
    )


def _of_stage(run: ComparedRun, name: str) -> StageRecord | Manifest | None:
    """Return what is known of a stage: of evaluate, which is not in its own report, a manifest."""
    if run.manifest is not None and run.manifest.stage == name:
        return run.manifest
    return run.report.stages.get(name)


def _differing_leaves(trees: Sequence[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the single numbers and words that differ, by their dotted names."""
    flat = [
        {name: written(value) for name, value in flat_settings(tree) if not isinstance(value, list)}
        for tree in trees
    ]
    names = dict.fromkeys(name for one in flat for name in one)
    rows = {name: tuple(one.get(name, MISSING) for one in flat) for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}
