"""Whether a loss is as usual, by a band that is made from a few runs and kept in a file."""

import json
import re

import numpy as np
import pytest

from pipelines import make_loss_band as command
from pipelines.options import resolve
from schemas.artifacts import METRICS, PRIOR
from schemas.manifest import MANIFEST, Result
from schemas.settings import PriorSettings
from stages.training import loss_band
from stages.training.loss_band import LossBand, loss_band_of
from tests.stages.finished import finish
from tests.stages.training.test_trainer import run
from tests.stages.training.toy import Line, settings

DEMO = resolve("demo")
BAND = LossBand(
    settings={},
    runs=3,
    shares=(0.25, 0.5, 1.0),
    low={"text": (2.0, 1.0, 1.0), "image": (4.0, 3.0, 2.0)},
    high={"text": (3.0, 2.0, 2.0), "image": (5.0, 4.0, 3.0)},
)


def test_inside_the_band_and_on_its_edges_nothing_is_said():
    assert BAND.outside(0.5, {"text": 1.0, "image": 4.0}) == ("", False)
    assert BAND.outside(0.375, {"text": 1.5, "image": 4.5, "other": 99.0}) == ("", False)


def test_outside_the_term_and_what_is_usual_are_named():
    said, far = BAND.outside(0.375, {"text": 1.5, "image": 4.6})
    assert said == "image 4.6 is above the usual 3.5 to 4.5"
    assert not far
    said, far = BAND.outside(1.0, {"text": 0.9, "image": 3.2})
    assert said == "text 0.9 is below the usual 1 to 2, image 3.2 is above the usual 2 to 3"
    assert not far


@pytest.mark.parametrize("image", [6.8, 0.88, float("nan")])  # 2 to 3, a width is 3/2
def test_far_outside_is_an_alarm(image):
    assert BAND.outside(1.0, {"text": 1.5, "image": image})[1]
    for near in (6.7, 0.89):
        assert not BAND.outside(1.0, {"text": 1.5, "image": near})[1]


def job(seed=0, **changes):
    """The demo's prior, in a run of 1,000 updates."""
    own = DEMO.prior.model_dump()
    fit = own.pop("fit") | {"steps": 1_000, "seed": seed}
    return PriorSettings(**(own | {"fit": fit, "tokens": DEMO.tokens} | changes))


def finished(folder, cfg, losses):
    """A prior whose log has a line every 100 updates."""
    finish(folder, PRIOR, Result(rows_in=1, rows_out=1))
    with folder.open(MANIFEST) as file:
        manifest = json.load(file)
    folder.commit(MANIFEST, json.dumps(manifest | {"settings": cfg.model_dump()}).encode())
    lines = [
        {"step": 100 * (n + 1), "loss": 0.0, "text": loss / 10, "image": loss}
        for n, loss in enumerate(losses)
    ]
    lines.insert(5, {"step": 500, "validation_loss": 0.0})
    folder.commit(METRICS, "".join(json.dumps(line) + "\n" for line in lines).encode())


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three folders of runs that differ by 0.2 and fall by 1 every 100 updates."""
    from infra.store import open_folder

    monkeypatch.setattr(loss_band, "FOLDER", tmp_path / "bands")
    monkeypatch.setattr(command, "FOLDER", tmp_path / "bands")
    folders = [str(tmp_path / f"run-{seed}") for seed in range(3)]
    for seed, folder in enumerate(folders):
        losses = [20 - n + 0.1 * seed for n in range(10)]
        finished(open_folder(folder), job(seed), losses)
    return folders


def test_the_command_makes_the_band_of_its_runs_and_the_same_one_again(runs, capsys):
    assert command.main(["demo", *runs]) == 0
    path = loss_band.FOLDER / "demo.json"
    first = path.read_bytes()
    assert capsys.readouterr().out == f"{path}: runs: 3\n"
    command.main(["demo", *runs])
    assert path.read_bytes() == first

    band = loss_band_of(job(seed=7))
    assert band.runs == 3
    # At share 0.5 = update 500, between the windows around 450 and 550: 15.5 to 15.7. Shares lie
    # 25 updates apart, in which the loss falls by 0.25.
    at = band.shares.index(0.5)
    low, high = 15.5 - 0.25, 15.7 + 0.25
    room = (high / low) ** 0.5 * 1.02
    assert band.low["image"][at] == pytest.approx(low / room, abs=0.01)
    assert band.high["image"][at] == pytest.approx(high * room, abs=0.01)
    assert band.high["text"][at] == pytest.approx(high * room / 10, abs=0.001)


def test_the_first_window_of_a_run_is_judged_by_the_first_of_the_band(runs):
    command.main(["demo", *runs])
    band = loss_band_of(job())
    assert band.outside(0.05, {"text": 2.0, "image": 20.0}) == ("", False)  # updates 1 to 100
    assert band.outside(0.0, {"text": 2.0, "image": 20.0}) == ("", False)
    assert band.outside(0.0, {"text": 2.0, "image": 17.0})[0].startswith("image 17 is below")


def test_a_band_is_of_runs_with_the_same_settings_whatever_their_seed_and_place(runs):
    command.main(["demo", *runs])
    assert loss_band_of(job(seed=99)) is not None
    assert loss_band_of(
        job().model_copy(update={"run": job().run.model_copy(update={"workers": 2})})
    )
    assert loss_band_of(job(layers=4)) is None


def test_a_setting_that_came_after_the_band_has_its_default_there(runs):
    command.main(["demo", *runs])
    path = loss_band.FOLDER / "demo.json"
    older = json.loads(path.read_text())
    assert older["settings"].pop("bpe_dropout") == 0.0  # its default is 0.1
    path.write_text(json.dumps(older))
    assert loss_band_of(job()) is None
    assert loss_band_of(job(bpe_dropout=0.1)) is not None
    older["settings"]["no_longer_there"] = 1
    path.write_text(json.dumps(older))
    assert loss_band_of(job(bpe_dropout=0.1)) is None


@pytest.mark.parametrize(
    ("choose", "sentence"),
    [
        (lambda runs: runs[:2], "wanted 3 seeds or a margin of at least 0.1, found 2 and 0.02; "),
        (lambda runs: [*runs, runs[0]], "a seed of its own for each run, found 4 of {0, 1, 2}"),
        (lambda runs: [runs[0] + "x", *runs], "wanted a finished prior in .*x, found none"),
    ],
)
def test_what_is_no_band_is_refused_in_a_sentence(runs, choose, sentence, capsys):
    assert command.main(["demo", *choose(runs)]) == 2
    assert re.search(sentence, capsys.readouterr().err)
    assert not loss_band.FOLDER.exists()


def test_one_run_makes_a_band_if_its_margin_is_stated(runs):
    assert command.main(["demo", runs[0], "--margin", "0.1"]) == 0
    band = loss_band_of(job(seed=1))
    at = band.shares.index(0.5)
    assert band.high["image"][at] == pytest.approx(15.75 * (15.75 / 15.25) ** 0.5 * 1.1, abs=0.01)


def test_runs_of_other_settings_are_refused(runs, tmp_path, capsys):
    from infra.store import open_folder

    finished(open_folder(tmp_path / "other"), job(seed=5, layers=4), range(10))
    assert command.main(["demo", *runs, str(tmp_path / "other")]) == 2
    assert "with the same settings but for fit.seed" in capsys.readouterr().err


class Known(Line):
    """A task whose runs have a band."""

    def loss_band(self):
        return loss_band_of(job())


@pytest.fixture
def said(folder, tmp_path, monkeypatch):
    """What is said of 12 updates; the band shuts them out in 3 to 5 and in 9 to 10."""
    monkeypatch.setattr(loss_band, "FOLDER", tmp_path)
    wide, shut = 1e9, 1e-9
    high = [wide, wide, shut, shut, shut, wide, wide, wide, shut, shut, wide, wide, wide]
    band = LossBand(
        settings=loss_band.without_seed(job()),
        runs=3,
        shares=tuple(np.linspace(0, 1, 13).tolist()),
        low={"square": [1e-12] * 13},
        high={"square": high},
    )
    (tmp_path / "toy.json").write_text(band.model_dump_json())
    cfg = settings(steps=12, log_every=1, validate_every=12)
    return run(Known(cfg), folder, cfg)[1]


def test_a_run_says_whether_it_is_as_usual_and_what_is_not(said):
    lines = [line for line in said if "ALARM" not in line]
    usually = ["  as usual  ETA " in line for line in lines]
    # an update is judged by its middle, half way to the places on both sides
    assert usually == [True, True, False, False, True, True, True, True, False, True, True, True]
    assert lines[2].splitlines()[2].startswith("    square ")
    assert " is above the usual 1e-12 to 1e-09" in lines[2]
    assert "the usual" not in lines[0]


def test_an_alarm_is_sounded_once_and_again_only_after_all_was_well(said, folder):
    alarms = [line.split("  ")[1] for line in said if "ALARM" in line and "far from what" in line]
    assert alarms == ["step 3/12", "step 9/12"]
    (name,) = folder.list("events/")
    with folder.open(name) as file:
        assert b"far from what runs with these settings had here" in file.read()


@pytest.mark.parametrize(
    "path", sorted(loss_band.FOLDER.glob("*.json")), ids=lambda path: path.stem
)
def test_each_band_that_we_keep_is_of_a_preset(path):
    from pipelines.full import dalle

    (stage,) = (s for s in dalle(resolve(path.stem)) if s.writes == PRIOR)
    band = loss_band_of(stage.config)
    assert band == LossBand.model_validate_json(path.read_text()), (
        "the preset was changed; make its band anew with python -m pipelines.make_loss_band"
    )
    for name in ("text", "image"):
        assert all(low < high for low, high in zip(band.low[name], band.high[name], strict=True))
