"""`minutes` by the command: what it chooses, says, records and leaves alone."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from infra.store import Store
from pipelines.full import dalle, main
from pipelines.options import given_paths, resolve, with_values
from pipelines.planner import Selection, plan
from pipelines.sizing import sized
from pipelines.sizing.measured_speed import measure_speed
from schemas.errors import ConfigError
from schemas.machine_speed import MachineSpeed
from schemas.settings import SourceSettings
from stages.crawl.sources import source_of
from tests.pipelines.runs import full, plan_states

SPEED = MachineSpeed(training_gflops=100, threads=2, precision="float32")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "run"))


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a cat")
    return folder


def dialled(store, *assignments, preset="small", records=False):
    """The settings that a command with these assignments has, and why."""
    settings = resolve(preset, None, assignments)
    return sized(settings, given_paths(None, assignments), store, records=records)


def fingerprints(store, *assignments, preset="tiny"):
    settings, _ = dialled(store, *assignments, preset=preset)
    return [step.fingerprint for step in plan(dalle(settings), store, Selection())]


def test_without_minutes_nothing_changes_and_nothing_is_measured(store):
    for preset in ("tiny", "demo", "small", "h200", "paper"):
        assert dialled(store, preset=preset, records=True) == (resolve(preset), ())
    assert store.speed() is None


def test_the_first_speed_of_a_root_is_the_one_that_counts(store):
    first, why = dialled(store, "minutes=30", preset="tiny", records=True)
    measured = store.speed()
    assert measured is not None
    assert "speed.json, measured once in this root" in why[0]
    again, _ = dialled(store, "minutes=30", preset="tiny", records=True)
    assert again == first
    assert store.speed() == measured
    other = measured.model_copy(update={"training_gflops": 9 * measured.training_gflops})
    assert store.record_speed(other) == measured


def test_a_plan_measures_and_records_nothing(store):
    _, why = dialled(store, "minutes=30", preset="tiny")
    assert "measured now; a run records it" in why[0]
    assert store.top.list() == []


def test_a_recorded_speed_gives_the_same_fingerprints_and_another_one_others(tmp_path):
    slow, quick = Store(str(tmp_path / "slow")), Store(str(tmp_path / "quick"))
    slow.record_speed(SPEED.model_copy(update={"training_gflops": 0.01}))
    quick.record_speed(SPEED)
    found = fingerprints(slow, "minutes=30")
    assert fingerprints(slow, "minutes=30") == found
    others = fingerprints(quick, "minutes=30")
    untouched = ("crawl", "measure", "filter", "train_bpe")
    names = [stage.name for stage in dalle(resolve("tiny"))]
    same = {n for n, one, other in zip(names, found, others, strict=True) if one == other}
    assert same == set(untouched)


def test_measured_speed_is_a_number_of_two_digits_for_threads_that_there_are():
    speed = measure_speed(threads=10_000)
    assert speed.training_gflops == float(f"{speed.training_gflops:.2g}") > 0
    assert speed.threads < 10_000


def test_what_is_set_wins_and_is_named(store, tmp_path):
    store.record_speed(SPEED)
    file = tmp_path / "my.yaml"
    file.write_text("minutes: 30\nprior: {layers: 3}\n")
    assignments = ["clip.fit.steps=77", "crawl.source.kind=world", "sample.guidance=1"]
    settings, why = sized(resolve("small", file, assignments), given_paths(file, assignments),
                          store, records=False)  # fmt: skip
    assert (settings.prior.layers, settings.clip.fit.steps) == (3, 77)
    assert settings.prior.fit.steps != resolve("small").prior.fit.steps
    assert why[-1] == "Left as you set them: prior.layers, clip.fit.steps."


def test_minutes_says_what_it_chose_and_why(store, pictures, capsys):
    store.record_speed(SPEED)
    named = ["--set", f"crawl.source.path={pictures}", "--set", "minutes=2"]
    assert main(["--preset", "small", "--root", store.root, "--plan", *named]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    said = " ".join(out.split())
    assert "minutes=2 for 3 pictures, where 2 threads train at 100 GFLOP/s in float32" in said
    assert "crawl, measure, filter, encode, evaluate" in said
    small = resolve("small").prior
    assert f"(set: {small.fit.steps:,} updates of {small.fit.batch_size}, {small.layers}" in said
    assert "each sees every picture so many times" in said
    assert re.search(r"\dm\d\ds together", said)
    assert len(plan_states(out)) == 10
    capsys.readouterr()
    settings = ["--settings", "prior.fit.steps", *named]
    assert main(["--preset", "small", "--root", store.root, *settings]) == 0
    steps = re.search(r"prior: (\d+) updates", said)[1]
    assert f"prior.fit.steps = {steps} " in capsys.readouterr().out


def test_a_run_that_cannot_be_as_short_is_said_to_take_longer(store):
    store.record_speed(SPEED)
    world = ["crawl.source.kind=world", "crawl.source.world.pictures=70000"]
    _, why = dialled(store, "minutes=1", *world)
    assert why[-1].startswith("That is more than 1 minutes: 70,000 pictures")


@pytest.mark.parametrize("preset", ["h200", "paper"])
def test_trainings_on_gpus_are_refused_in_one_sentence(store, preset):
    with pytest.raises(ConfigError, match=r"minutes is for trainings on CPUs.*dvae.run.gpu=true"):
        dialled(store, "minutes=60", preset=preset)


@pytest.mark.parametrize("value", ["0", "0.5", "-1", "10081", "soon", "nan"])
def test_minutes_out_of_range_are_one_sentence(value):
    with pytest.raises(ConfigError, match=r"^minutes: input should be"):
        resolve("small", None, [f"minutes={value}"])


@pytest.mark.parametrize(
    ("kind", "path"), [("folder", ""), ("tars", "/nowhere/*.tar"), ("urls", "")]
)
def test_where_pictures_cannot_be_counted_the_presets_values_stay(store, kind, path):
    assignments = ["minutes=60", f"crawl.source.kind={kind}", f"crawl.source.path={path}"]
    settings, (why,) = dialled(store, *assignments, records=True)
    assert settings == resolve("small", None, assignments)
    assert why.startswith("minutes=60 changes nothing: ")
    assert store.speed() is None


def test_pictures_are_counted_where_that_is_cheap(tmp_path, pictures):
    def count(kind, path=""):
        return source_of(SourceSettings(kind=kind, path=str(path))).picture_count()

    assert count("folder", pictures) == 3
    assert count("world") == SourceSettings().world.pictures
    rows = pa.table({"url": ["http://a.test/1", "http://a.test/2"], "caption": ["a", "b"]})
    pq.write_table(rows, tmp_path / "list.parquet")
    assert count("urls", tmp_path / "list.parquet") == 2
    (tmp_path / "list.csv").write_text("url,caption\nhttp://a.test/1,a\n")
    assert count("urls", tmp_path / "list.csv") is None
    assert count("tars", tmp_path / "*.tar") is None


def test_values_that_are_put_into_settings_are_checked():
    with pytest.raises(ConfigError, match=r"prior.layers: input should be greater than 0"):
        with_values(resolve("small"), {"prior.layers": 0}, where="minutes=1")


@pytest.mark.slow
def test_a_run_and_then_a_single_stage_are_of_the_same_sizes(tmp_path):
    full("--set", "minutes=2", "--until", "train_bpe", root=tmp_path)
    recorded = (tmp_path / "speed.json").read_bytes()
    assert json.loads(recorded)["training_gflops"] > 0
    planned = full("--set", "minutes=2", "--plan", root=tmp_path)
    log = full("--set", "minutes=2", "--only", "train_bpe", root=tmp_path)
    assert "minutes=2 for 120 pictures" in log
    assert "train_bpe    skipped, finished before" in log
    assert (tmp_path / "speed.json").read_bytes() == recorded
    assert full("--set", "minutes=2", "--plan", root=tmp_path) == planned
