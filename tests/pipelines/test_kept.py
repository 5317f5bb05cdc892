"""What a stage makes on the way and keeps: used again by other settings, never by other inputs."""

import json
from types import SimpleNamespace

import pytest

from infra.claim import claimed
from infra.store import Store
from pipelines import prune
from pipelines.planner import Selection, Stage
from pipelines.runner import run
from schemas.artifacts import Artifact
from schemas.errors import ArtifactOwned
from schemas.manifest import Result
from schemas.settings import Config

RAW, MEASURED, CLEAN = Artifact("raw", ""), Artifact("sizes", ""), Artifact("clean", "")


class Text(Config):
    text: str


class Limits(Config):
    unit: int
    limit: int


def stages(text="abc", *, unit=1, limit=9, measured=None):
    """One stage writes a text; the next one measures it, keeps that, and compares with a limit."""

    def write(inputs, out, cfg):
        out.commit("text", cfg.text.encode())
        return Result(rows_in=1, rows_out=1)

    def judge(inputs, out, cfg):
        kept = inputs.folder(MEASURED)
        if not kept.exists("size"):
            measured.append(cfg.unit)
            size = len(inputs.folder(RAW).open("text").read()) // cfg.unit
            kept.commit("size", str(size).encode())
        fits = int(kept.open("size").read()) <= cfg.limit
        out.commit("fits", str(fits).encode())
        return Result(rows_in=1, rows_out=int(fits))

    def module(name, body, **more):
        return SimpleNamespace(__name__=f"stages.{name}", REVISION=1, run=body, **more)

    return (
        Stage(module=module("write", write), reads=(), writes=RAW, config=Text(text=text)),
        Stage(
            module=module("judge", judge, kept=lambda cfg, outside: {"unit": cfg.unit}),
            reads=(RAW,),
            writes=CLEAN,
            keeps=MEASURED,
            config=Limits(unit=unit, limit=limit),
        ),
    )


@pytest.fixture
def go(tmp_path):
    def go(*, force=(), **settings):
        measured = []
        listed = stages(**settings, measured=measured)
        run(listed, Store(str(tmp_path)), Selection(force=force), lambda: None)
        return measured

    return go


def test_other_limits_do_not_measure_again(go):
    assert go() == [1]
    assert go(limit=2) == []
    assert go(limit=2, unit=3) == [3]
    assert go(limit=1) == []


def test_other_inputs_and_force_do(go):
    assert go() == [1]
    assert go(text="abcd") == [1]
    assert go(text="abcd", force=("judge",)) == [1]
    assert go(limit=5) == []  # of the first text


def test_what_the_newest_run_keeps_is_not_pruned_and_the_rest_is(go, tmp_path, monkeypatch):
    monkeypatch.setattr(prune, "NAMES", ["raw", "sizes", "clean"])
    go()
    go(unit=3)
    go(unit=3)  # skipped, and still in use
    summary = json.loads((tmp_path / "summary.json").read_text())
    in_use = summary["stages"]["judge"]["keeps"]
    unused = [address for address, _, _ in prune.unused(Store(str(tmp_path)))]
    assert [address.split("/")[0] for address in unused] == ["sizes", "clean"]
    assert in_use not in unused
    assert (tmp_path / in_use / "size").exists()


def test_two_runs_do_not_measure_into_one_folder(go, tmp_path):
    go()
    kept = json.loads((tmp_path / "summary.json").read_text())["stages"]["judge"]["keeps"]
    with claimed(Store(str(tmp_path)).at(kept)), pytest.raises(ArtifactOwned):
        go(limit=2)
