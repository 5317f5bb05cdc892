"""Run a list of stages: skip finished ones, resume interrupted ones, make stale ones again.

An artifact lies at `<root>/<name>/<fingerprint>/`; the planner computes the fingerprint from what
decides the content: settings that differ from their defaults, the stage's revision, the inputs'
fingerprints, outside files.

- `manifest.json` is there: the stage is finished, and skipped. If an input's content is no longer
  what the manifest recorded (it was made again and came out different), the artifact is stale: its
  folder is emptied and the stage runs.
- No manifest, but `begun.json` names the inputs' present content: the stage was interrupted. It
  runs in the folder as it is, and resumes from its own finished shards (stages/shards/) or its
  newest checkpoint (stages/training/).
- Anything else, and `--force` on a finished stage: the folder is emptied and the stage starts.

While a stage runs it owns the folder (infra/claim.py). The manifest is written last.
"""

import json
import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from infra.claim import OWNER, claimed
from infra.folders import LocalFolder, ObjectFolder
from infra.nearby import SUMMARY
from infra.store import Store, content_of, digest_all, now, publish
from pipelines.command.stopping import during
from pipelines.planner import Selection, Stage, Step, plan, state_of
from schemas.artifacts import REPORT, REPORT_HTML
from schemas.errors import ArtifactMissing, ShardsFailed
from schemas.folder import Folder, Inputs
from schemas.manifest import BEGUN, InputRecord, Manifest, Result, StageSummary, Summary

log = logging.getLogger(__name__)

VERSIONS = ("dalle-ray", "ray", "torch", "pyarrow", "numpy", "img2dataset", "tokenizers",
            "transformers", "pydantic")  # fmt: skip


def run(
    stages: Sequence[Stage], store: Store, selection: Selection, start_ray: Callable[[], None]
) -> list[Step]:
    """Run the selected stages that are not finished; return the steps as they ended.

    `start_ray` is called before each stage that runs, so a run with nothing to do is quick.

    Raises ArtifactMissing if a selected stage reads an artifact that is not finished.
    """
    summary = dict(store.summary().stages)
    ended: dict[str, Step] = {}
    for step in plan(stages, store, selection):
        sources = [ended[name] for name in step.inputs]
        if step.manifest is not None and not step.forced:
            step = replace(step, state=state_of(step.manifest, sources))  # sources are final now
        if step.runs:
            _refuse_unfinished(step, sources)
            with during(step.stage.name):
                start_ray()
                step = _make(step, sources, store, summary)
        elif step.manifest is not None:
            log.info("%-12s skipped, finished before  (%s)", step.stage.name, step.address)
            summary[step.stage.name] = _entry(step.manifest, "skipped", step.address)
        ended[step.stage.writes.name] = step
        _write_summary(store, summary)
    return list(ended.values())


def _refuse_unfinished(step: Step, sources: Sequence[Step]) -> None:
    for source in sources:
        if source.manifest is None:
            raise ArtifactMissing(
                f"{step.stage.name} needs a finished '{source.stage.writes.name}' made with these "
                f"settings, found none; run with `--from {source.stage.name}`, or without --only "
                "and --from"
            )


def _make(
    step: Step, sources: Sequence[Step], store: Store, summary: dict[str, StageSummary]
) -> Step:
    """Run one stage in its folder and publish what it leaves."""
    stage, name = step.stage, step.stage.writes.name
    folder = store.folder(name, step.fingerprint)
    inputs = {n: store.folder(n, fingerprint) for n, fingerprint in step.inputs.items()}
    with claimed(folder):
        resumes = _prepare(folder, sources, afresh=step.manifest is not None)
        verb = "resumes" if resumes else "starts"
        log.info("%-12s %s  (%s)", stage.name, verb, step.address)
        summary[stage.name] = StageSummary(status="running", artifact=step.address)
        _write_summary(store, summary)
        started = time.monotonic()
        try:
            result = stage.module.run(Inputs(inputs), folder, stage.config)
        except BaseException as error:
            summary[stage.name] = StageSummary(
                status="failed",
                artifact=step.address,
                quarantined=error.shards if isinstance(error, ShardsFailed) else (),
            )
            _write_summary(store, summary)
            error.add_note(f"stage {stage.name} failed; run the same command again to resume")
            raise
        manifest = _manifest(step, sources, folder, result, time.monotonic() - started)
        publish(folder, manifest)
    summary[stage.name] = _entry(manifest, "done", step.address)
    if stage.writes == REPORT:
        with folder.open(REPORT_HTML) as file:
            store.top.commit("report.html", file.read())
    log.info("%-12s done in %.0f s", stage.name, manifest.seconds)
    return replace(step, state="done", manifest=manifest)


def _prepare(folder: LocalFolder | ObjectFolder, sources: Sequence[Step], *, afresh: bool) -> bool:
    """Empty the folder unless it was begun from the inputs' present content; then return True."""
    begun = json.dumps({s.stage.writes.name: _content(s) for s in sources}).encode()
    if not afresh and folder.exists(BEGUN):
        with folder.open(BEGUN) as file:
            if file.read() == begun:
                return True
    folder.clear(keep=OWNER)
    folder.commit(BEGUN, begun)
    return False


def _content(step: Step) -> str:
    assert step.manifest is not None, "sources of a running stage are finished"
    return step.manifest.content_sha256


def _manifest(
    step: Step, sources: Sequence[Step], folder: Folder, result: Result, seconds: float
) -> Manifest:
    stage = step.stage
    files = digest_all(folder, result.files)
    return Manifest(
        stage=stage.name,
        artifact=stage.writes.name,
        fingerprint=step.fingerprint,
        revision=stage.module.REVISION,
        settings=stage.config.model_dump(mode="json"),
        inputs={
            s.stage.writes.name: InputRecord(fingerprint=s.fingerprint, content_sha256=_content(s))
            for s in sources
        },
        outside=dict(step.outside),
        content_sha256=content_of(files),
        **(dict(result) | {"files": files}),
        seconds=round(seconds, 3),
        rows_per_second=round(result.rows_in / max(seconds, 1e-9), 3),
        finished_at=now(),
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in VERSIONS:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _entry(manifest: Manifest, status: Literal["done", "skipped"], address: str) -> StageSummary:
    numbers = ("rows_in", "rows_out", "rejects", "quarantined", "seconds")
    found = {name: getattr(manifest, name) for name in numbers}
    return StageSummary(status=status, artifact=address, **found)


def _write_summary(store: Store, summary: Mapping[str, StageSummary]) -> None:
    text = Summary(stages=dict(summary)).model_dump_json(indent=2)
    store.top.commit(SUMMARY, text.encode())
