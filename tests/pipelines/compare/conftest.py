"""Two finished runs with reports, and a page that compares them."""

import shutil

import pytest

from infra.store import Store, digest_all, publish
from pipelines.compare import __main__ as compare
from schemas.artifacts import REPORT, Artifact
from schemas.manifest import InputRecord, Manifest, StageSummary
from schemas.settings import EvaluateSettings
from stages import evaluate
from tests import tiny_run

HOSTILE = "<img src=x onerror=alert(1)>"


def finish_report(store: Store) -> None:
    """Evaluate a run, and write down that it is finished."""
    cfg = EvaluateSettings(judge="shapes", pictures=6)
    out = tiny_run.folder(store, REPORT)
    result = evaluate.run(tiny_run.inputs(store), out, cfg)
    read = {
        artifact.name: InputRecord(fingerprint=tiny_run.fingerprint(artifact), content_sha256="0")
        for artifact in tiny_run.STAGES
    }
    manifest = Manifest(
        stage="evaluate", artifact=REPORT.name, fingerprint=tiny_run.fingerprint(REPORT),
        revision=evaluate.REVISION, settings=cfg.model_dump(mode="json"), inputs=read, outside={},
        content_sha256="0", seconds=2.0, rows_per_second=1.0,
        finished_at="2026-02-03T04:05:06+00:00", versions={"torch": "2"},
        **(dict(result) | {"files": digest_all(out, {})}),
    )  # fmt: skip
    publish(out, manifest)
    summary = store.summary()
    entry = StageSummary(status="done", artifact=f"report/{manifest.fingerprint}")
    stages = summary.stages | {"evaluate": entry}
    text = summary.model_copy(update={"stages": stages}).model_dump_json()
    store.top.commit("summary.json", text.encode())


def change(store: Store, artifact: Artifact, name: str, old: str, new: str) -> None:
    """Replace a text in a file of a run, where it must stand."""
    folder = tiny_run.folder(store, artifact)
    text = folder.open(name).read().decode()
    assert old in text
    folder.commit(name, text.replace(old, new).encode())


@pytest.fixture(scope="session")
def one(built, tmp_path_factory):
    """The root of a finished run."""
    store = Store(str(shutil.copytree(built, tmp_path_factory.mktemp("one") / "run")))
    finish_report(store)
    return store.root


@pytest.fixture(scope="session")
def other(one, tmp_path_factory):
    """The root of a run with another seed, revision, library, caption of a set, and dVAE error."""
    store = Store(str(shutil.copytree(one, tmp_path_factory.mktemp("other") / "run")))
    change(store, REPORT, "report.json", '"seed": 5', '"seed": 6')
    change(store, REPORT, "report.json", '"torch": "2"', f'"torch": "{HOSTILE}"')
    manifest = "manifest.json"
    for artifact in tiny_run.STAGES:
        change(store, artifact, manifest, '"revision": 1', '"revision": 2')
    return store.root


@pytest.fixture(scope="session")
def page(one, other, tmp_path_factory):
    """The page that compares both."""
    out = tmp_path_factory.mktemp("page") / "compare.html"
    assert compare.main([one, other, "--out", str(out)]) == 0
    return out
