"""The runner, on toy stages that write real files into a real store."""

import json
import logging
from types import SimpleNamespace

import pytest

from infra.store import Store
from pipelines.full import dalle
from pipelines.options import resolve
from pipelines.planner import Selection, Stage, fingerprint_of, plan, wire
from pipelines.runner import run
from schemas.artifacts import Artifact
from schemas.errors import ArtifactMissing, ConfigError, ShardsFailed
from schemas.manifest import Result
from schemas.settings import Config

A, B, C = Artifact("a", ""), Artifact("b", ""), Artifact("c", "")


class Words(Config):
    text: str = "x"


class Kitchen:
    """Three stages in a row; each writes its text after what it read, and counts its calls."""

    def __init__(self, root, **texts):
        self.store = Store(str(root))
        self.calls = []
        self.salt = ""
        self.fail_in = ""
        self.failure = ValueError("planned")
        self.quarantined = ()
        self.texts = {"one": "1", "two": "2", "three": "3"} | texts

    def module(self, name, reads):
        def body(inputs, out, cfg):
            self.calls.append(name)
            out.commit("half", b"")
            if name == self.fail_in:
                raise self.failure
            before = "".join(inputs.folder(a).open("text").read().decode() for a in reads)
            salt = self.salt if name == "one" else ""
            out.commit("text", (before + cfg.text + salt).encode())
            return Result(rows_in=2, rows_out=1, rejects={"why": 1}, quarantined=self.quarantined)

        return SimpleNamespace(__name__=f"stages.{name}", REVISION=1, run=body)

    def stages(self):
        parts = (("one", (), A), ("two", (A,), B), ("three", (B,), C))
        return tuple(
            Stage(
                module=self.module(name, reads),
                reads=reads,
                writes=writes,
                config=Words(text=self.texts[name]),
            )
            for name, reads, writes in parts
        )

    def run(self, **selection):
        self.calls.clear()
        run(self.stages(), self.store, Selection(**selection), lambda: None)
        return self.calls

    def states(self, **selection):
        return [s.state for s in plan(self.stages(), self.store, Selection(**selection))]


def test_a_second_run_does_nothing_and_says_so(tmp_path, caplog):
    kitchen = Kitchen(tmp_path)
    assert kitchen.run() == ["one", "two", "three"]
    with caplog.at_level(logging.INFO):
        assert kitchen.run() == []
    assert sum("skipped, finished before" in r.message for r in caplog.records) == 3
    entry = json.loads((tmp_path / "summary.json").read_text())["stages"]["two"]
    assert entry["status"] == "skipped"
    assert (entry["rows_in"], entry["rows_out"], entry["rejects"]) == (2, 1, {"why": 1})


def test_a_changed_setting_reruns_its_stage_and_what_follows(tmp_path):
    Kitchen(tmp_path).run()
    changed = Kitchen(tmp_path, two="II")
    assert changed.states() == ["done", "run", "run"]
    assert changed.run() == ["two", "three"]
    assert Kitchen(tmp_path).run() == []  # the old artifacts are still there


def test_only_from_until_and_force_choose_stages(tmp_path):
    kitchen = Kitchen(tmp_path)
    assert kitchen.run(last="two") == ["one", "two"]
    assert kitchen.run(first="two") == ["three"]
    assert kitchen.run(only="two", force=("two",)) == ["two"]
    assert kitchen.run() == []  # the forced stage made the same content, so nothing is stale
    with pytest.raises(ConfigError, match="no stage 'fuor'"):
        kitchen.run(only="fuor")
    with pytest.raises(ConfigError, match="leave --from and --until out"):
        kitchen.run(only="two", first="two")
    with pytest.raises(ConfigError, match="--force one must name a selected stage"):
        kitchen.run(first="two", force=("one",))


def test_a_forced_stage_that_was_killed_goes_on(tmp_path):
    kitchen = Kitchen(tmp_path)
    kitchen.run()
    kitchen.fail_in = "two"
    with pytest.raises(ValueError, match="planned"):
        kitchen.run(force=("two",))
    fingerprint = plan(kitchen.stages(), kitchen.store, Selection())[1].fingerprint
    folder = kitchen.store.folder("b", fingerprint)
    assert not folder.exists("text")  # of the first run
    folder.commit("checkpoint", b"")
    kitchen.fail_in = ""
    assert kitchen.states(force=("two",)) == ["done", "resume", "check"]
    assert kitchen.run(last="two", force=("two",)) == ["two"]
    assert folder.exists("checkpoint")


def test_an_artifact_is_stale_once_an_input_has_other_content(tmp_path):
    kitchen = Kitchen(tmp_path)
    kitchen.run()
    kitchen.salt = "!"
    assert kitchen.states(force=("one",)) == ["run", "check", "check"]
    assert kitchen.run(only="one", force=("one",)) == ["one"]
    assert kitchen.states() == ["done", "stale", "check"]
    assert kitchen.run() == ["two", "three"]
    assert kitchen.store.newest(C).open("text").read() == b"1!23"


def test_a_failed_stage_is_said_to_have_failed_and_is_run_again(tmp_path):
    kitchen = Kitchen(tmp_path)
    kitchen.fail_in = "two"
    with pytest.raises(ValueError, match="planned") as caught:
        kitchen.run()
    assert "stage two failed" in caught.value.__notes__[0]
    assert kitchen.store.summary().stages["two"].status == "failed"
    kitchen.fail_in = ""
    assert kitchen.states() == ["done", "resume", "run"]
    assert kitchen.run() == ["two", "three"]


def test_shards_that_nobody_could_make_are_named_in_the_summary(tmp_path):
    kitchen = Kitchen(tmp_path)
    kitchen.fail_in, kitchen.failure = "two", ShardsFailed("two failed", shards=("shard-7",))
    kitchen.quarantined = ("shard-3",)
    with pytest.raises(ShardsFailed):
        kitchen.run()
    stages = kitchen.store.summary().stages
    assert (stages["one"].status, stages["one"].quarantined) == ("done", ("shard-3",))
    assert (stages["two"].status, stages["two"].quarantined) == ("failed", ("shard-7",))


def test_what_a_killed_run_left_is_kept_only_if_the_inputs_are_the_same(tmp_path):
    kitchen = Kitchen(tmp_path)
    kitchen.fail_in = "two"
    with pytest.raises(ValueError, match="planned"):
        kitchen.run()
    folder = kitchen.store.folder(
        "b", plan(kitchen.stages(), kitchen.store, Selection())[1].fingerprint
    )
    folder.commit("checkpoint", b"of the old input")
    kitchen.salt, kitchen.fail_in = "!", ""
    kitchen.run(only="one", force=("one",))
    kitchen.run()
    assert not folder.exists("checkpoint")


def test_a_missing_input_is_one_sentence(tmp_path):
    with pytest.raises(ArtifactMissing, match="two needs a finished 'a'"):
        Kitchen(tmp_path).run(only="two")


def test_a_list_that_cannot_work_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="three reads 'b', but no earlier stage writes it"):
        wire(Kitchen(tmp_path).stages()[2:])


def test_other_thresholds_measure_nothing_again():
    def measured(*assignments):
        stages = {stage.name: stage for stage in dalle(resolve("tiny", None, assignments))}
        return fingerprint_of(stages["measure"], {"pairs": "the same"}, {})

    rules = ["filter.min_chars=9", "filter.near_bits=2", "filter.max_nsfw=0.1", "tokens.grid=4"]
    assert measured(*rules) == measured()
    assert measured("measure.nsfw=true") != measured()
