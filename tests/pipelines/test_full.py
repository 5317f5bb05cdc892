"""The whole pipeline, by its command line, at its smallest."""

import json
import re
import shutil

import pytest

from infra.store import Store
from pipelines.full import absolute_root, dalle, main
from schemas.artifacts import REPORT, TOKEN_PAIRS
from schemas.errors import ConfigError
from schemas.run_report import read_report
from schemas.settings import Settings
from tests.pipelines.runs import full, plan_states, statuses
from tests.stages.finished import contents

NAMES = [stage.name for stage in dalle(Settings())]

pytestmark = pytest.mark.slow


def test_all_stages_end_and_say_what_they_did(tiny_run):
    assert statuses(tiny_run) == dict.fromkeys(NAMES, "done")
    log = (tiny_run / "log.txt").read_text()
    table = log[log.index("stage ") :]
    assert [line.split()[0] for line in table.splitlines()[1 : 1 + len(NAMES)]] == NAMES
    assert f"report: {tiny_run}/report.html" in log
    assert max(map(len, log[log.index("rows in") :].splitlines()[:13])) <= 80
    assert re.search(r'^filter left out \d+ as \w+, such as "', table, re.MULTILINE)
    assert log.index("left out") < log.index("train_dvae")  # before anything is trained, too
    report = read_report(Store(str(tiny_run)).newest(REPORT))
    assert {"seen", "held_out"} <= report.accuracy.sets.keys()
    assert report.dvae.codes_used >= 1
    assert report.dvae.psnr_db > 0


def test_rows_add_up_from_stage_to_stage(tiny_run):
    stages = Store(str(tiny_run)).summary().stages
    for name, stage in stages.items():
        if name != "sample":  # makes many pictures of each prompt
            assert stage.rows_in >= stage.rows_out >= 1, name
    crawl = stages["crawl"]
    assert crawl.rows_out + sum(crawl.rejects.values()) == 120
    assert crawl.rows_in == stages["filter"].rows_in == 120  # kept, with the outcome of each
    assert stages["filter"].rows_in == stages["filter"].rows_out + sum(
        stages["filter"].rejects.values()
    )
    assert stages["encode"].rows_in == stages["filter"].rows_out


def test_what_learned_for_20_updates_loses_to_the_simplest_thing_in_every_part(tiny_run):
    folder = Store(str(tiny_run)).newest(REPORT)
    parts = {one.part: one for one in read_report(folder).baselines.compared}
    lost = {part for part, one in parts.items() if not one.better}
    assert lost >= {
        "dVAE: reconstruction",
        "prior: a code of a held-out picture",
        "drawing: right, seen combinations",
        "CLIP: its favourite of 4 is right",
    }, parts


def test_a_second_run_does_nothing_and_needs_no_ray(tiny_run, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # where nobody listens
    log = full(root=tiny_run)
    assert log.count("skipped, finished before") == len(NAMES)
    assert statuses(tiny_run) == dict.fromkeys(NAMES, "skipped")


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ([], []),
        (["--set", "sample.candidates=2"], ["sample", "evaluate"]),
        (["--set", "filter.min_chars=6"], NAMES[2:]),
        (["--set", "crawl.run.threads=3"], []),
        (["--only", "encode", "--force", "encode"], ["encode"]),
        (["--set", "filter.min_chars=6", "--until", "train_bpe"], ["filter", "train_bpe"]),
    ],
)
def test_the_plan_says_beforehand_what_would_run(tiny_run, arguments, runs, capsys):
    assert main(["--preset", "tiny", "--root", str(tiny_run), "--plan", *arguments]) == 0
    states = plan_states(capsys.readouterr().out)
    assert list(states) == NAMES
    assert [name for name, state in states.items() if state == "will run"] == runs


def test_one_stage_forced_runs_alone_and_makes_the_same(tiny_run):
    before = contents(Store(str(tiny_run)).newest(TOKEN_PAIRS), "train/")
    log = full("--only", "encode", "--force", "encode", root=tiny_run)
    assert log.count(" starts ") == 1
    assert contents(Store(str(tiny_run)).newest(TOKEN_PAIRS), "train/") == before
    assert "will run" not in full("--plan", root=tiny_run)


def test_a_bad_command_is_one_sentence_and_exit_code_2(tmp_path, capsys):
    assert main(["--root", str(tmp_path), "--set", "prior.layrs=3"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "did you mean 'prior.layers'?" in error


def test_a_relative_root_in_an_uploaded_working_directory_is_refused(tmp_path, monkeypatch):
    uploaded = tmp_path / "_ray_pkg_0123"
    uploaded.mkdir()
    monkeypatch.chdir(uploaded)
    with pytest.raises(ConfigError, match="throws away"):
        absolute_root(None, "demo")
    assert absolute_root("s3://bucket/run", "demo") == "s3://bucket/run"
    assert absolute_root(str(tmp_path), "demo") == str(tmp_path)


def test_what_was_left_out_is_in_the_summary_the_last_line_and_the_exit_code(tiny_run, tmp_path):
    root = shutil.copytree(tiny_run, tmp_path / "run")
    manifest = next(root.glob("pairs/*/manifest.json"))
    found = json.loads(manifest.read_text())
    hurt = {"damaged": {"rows": 1_234, "first": "list.parquet, row group 7: no page"}}
    health = found["health"] | hurt
    manifest.write_text(json.dumps(found | {"quarantined": ["shard-00003"], "health": health}))
    log = full(root=root, code=3)
    assert "crawl finished without 1 quarantined shards (shard-00003)" in log.splitlines()[-1]
    assert "1,234 rows could not be read (the first: list.parquet, row group 7" in log
    assert f"set crawl.earlier={root}/pairs/" in log
    assert Store(str(root)).summary().stages["crawl"].quarantined == ("shard-00003",)
    full("--only", "sample", root=root)  # which has nothing to do with it
