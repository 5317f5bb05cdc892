"""What differs in how runs were made: settings by their dotted names, revisions, versions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from pipelines.compare.compared_runs import ComparedRun
from pipelines.full import dalle
from pipelines.options import resolve
from pipelines.presets import PRESETS
from schemas.manifest import Record
from schemas.settings import Config, Settings, Shared, leaves

Kind = Literal["what", "how", "input", "code", "check"]
UNKNOWN = "not known"
MISSING = "-"


class DifferingRow(Record):
    """One thing in which runs differ, with what each of them has."""

    name: str
    kind: Kind = Field(
        description="of a setting: what decides the result, how does not, input is an address"
    )
    values: tuple[str, ...]


def differing_settings(runs: Sequence[ComparedRun]) -> list[DifferingRow]:
    """Return the settings that differ: those that decide the result first, in their own order."""
    trees = [dict(settings_of(run)) for run in runs]
    kinds = {leaf.path: leaf.kind for leaf in leaves()}
    order = {path: place for place, path in enumerate(kinds)}
    names = sorted(
        {name for tree in trees for name in tree}, key=lambda n: order.get(n, len(order))
    )
    rows = []
    for name in names:
        values = tuple(tree.get(name, MISSING) for tree in trees)
        if len(set(values)) > 1:
            rows.append(DifferingRow(name=name, kind=kinds.get(name, "what"), values=values))
    return sorted(rows, key=lambda row: ("what", "input", "how").index(row.kind))


def settings_of(run: ComparedRun) -> Iterator[tuple[str, str]]:
    """Yield each setting of a run by its dotted name, as `--set` takes it."""
    found = {stage: record.settings for stage, record in run.report.stages.items()}
    if run.manifest is not None:
        found[run.manifest.stage] = run.manifest.settings
    known = {leaf.path for leaf in leaves()}
    for stage, settings in found.items():
        part, config = _parts().get(stage, (stage, Config))
        shared = config.marked(Shared)
        for name, value in flat_settings(settings):
            first = name.partition(".")[0]
            path = f"{part}.{name}"
            if first in shared:
                path = name if first == "tokens" else f"tokens.{name}"
            if path in known or first not in shared:  # the side follows from the grid
                yield path, written(value)


@lru_cache
def _parts() -> Mapping[str, tuple[str, type[Config]]]:
    """Return of each stage the name of its part of the settings, and its class."""
    settings = Settings()
    names = {id(getattr(settings, name)): name for name in Settings.model_fields}
    return {s.name: (names[id(s.config)], type(s.config)) for s in dalle(settings)}


def flat_settings(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flat_settings(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def written(value: Any) -> str:
    if isinstance(value, str):
        return value or '""'
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def nearest_preset(run: ComparedRun) -> str:
    """Name the preset that a run's settings are nearest to, and in how many they differ.

    No file of a run says which preset it began with. Addresses and `run` nodes do not count.
    """
    counted = {leaf.path for leaf in leaves() if leaf.kind == "what"}
    own = {name: value for name, value in settings_of(run) if name in counted}
    apart = {
        name: sum(own[path] != value for path, value in _of_preset(name).items() if path in own)
        for name in PRESETS
    }
    name = min(apart, key=lambda each: apart[each])
    others = "1 setting" if apart[name] == 1 else f"{apart[name]} settings"
    return f"{name}, but for {others}" if apart[name] else name


@lru_cache
def _of_preset(name: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    tree = resolve(name).model_dump(mode="json")
    for leaf in leaves():
        value: Any = tree
        for part in leaf.path.split("."):
            value = value[part]
        found[leaf.path] = written(value)
    return found


def differing_code(runs: Sequence[ComparedRun]) -> Iterator[DifferingRow]:
    """Yield what differs beside settings: stages' revisions, what they read, and libraries."""
    stages = list(dict.fromkeys(stage for run in runs for stage in run.artifacts))
    for stage in stages:
        manifests = [run.manifests.get(stage) for run in runs]
        revisions = [UNKNOWN if m is None else str(m.revision) for m in manifests]
        yield from _row(f"{stage}: revision of its code", revisions)
        outside = sorted({name for m in manifests if m is not None for name in m.outside})
        for name in outside:
            digests = [UNKNOWN if m is None else m.outside.get(name, MISSING) for m in manifests]
            yield from _row(f"{stage}: content of {name}", [digest[:12] for digest in digests])
    for name in sorted({name for run in runs for name in run.report.versions}):
        yield from _row(f"version of {name}", [r.report.versions.get(name, MISSING) for r in runs])


def _row(name: str, values: Sequence[str]) -> Iterator[DifferingRow]:
    if len(set(values) - {UNKNOWN}) > 1:
        yield DifferingRow(name=name, kind="code", values=tuple(values))


def differing_checks(runs: Sequence[ComparedRun]) -> Iterator[DifferingRow]:
    """Yield the checks of the reports that hold in some runs and not in others."""
    checks = [{check.what: check for check in run.report.checks} for run in runs]
    for what in dict.fromkeys(what for found in checks for what in found):
        own = [found.get(what) for found in checks]
        if len({check.ok for check in own if check is not None}) > 1:
            values = (f"{'holds' if c.ok else 'weak'}: {c.found}" if c else MISSING for c in own)
            yield DifferingRow(name=what, kind="check", values=tuple(values))
