"""What diverges is never finished, whatever it is that is not finite, and says what to lower."""

import json
import math

import pytest
import torch

from infra.store import open_folder
from schemas.artifacts import METRICS
from schemas.errors import UserError
from schemas.manifest import Result
from stages.training import checkpoints
from stages.training.divergence import Diverged
from stages.training.state import State
from stages.training.task import Validation
from stages.training.trainer import Trainer
from tests.stages.training.test_trainers import KINDS
from tests.stages.training.toy import ALONE, Line, settings, silent
from tests.stages.training.workers import saved


def fit(task, folder, cfg=None):
    return Trainer(task, cfg or task.cfg, folder, ALONE, silent).fit()


def refused(task, folder, sentence, cfg=None):
    """It ends with the sentence, leaves no model, and only checkpoints that are finite."""
    with pytest.raises(Diverged, match=sentence):
        fit(task, folder, cfg)
    assert isinstance(Diverged(""), UserError)  # so the command ends with 2
    assert not {"weights", "model.safetensors", "config.json"} & set(folder.list())
    if checkpoints.steps(folder):
        state = saved(folder.url)
        for part in ("model", "average"):
            assert all(weight.isfinite().all() for weight in state[part].values())


class Spoilt(Line):
    """After update 5 a weight is not finite, whatever made it so."""

    number = math.inf

    def clamp_parameters(self, model):
        self.made = getattr(self, "made", 0) + 1
        if self.made == 5:
            with torch.no_grad():
                model.weight[0, 0] = self.number


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_weights_that_are_not_finite_end_the_run_at_once(folder, number):
    task = Spoilt(settings())
    task.number = number
    refused(
        task,
        folder,
        r"found weights that are not after update 5 of 12 of toy; lower toy.fit.learning_rate",
    )
    assert checkpoints.steps(folder) == ["checkpoints/step-00000004"]


def test_they_are_found_at_the_last_update_too(folder):
    task = Spoilt(settings(steps=5))
    refused(task, folder, "found weights that are not after update 5 of 5")


class Average(Line):
    """Its average alone is spoilt, in the last update."""

    def build(self):
        self.model = super().build()
        return self.model

    def batches(self, step, context):
        for number, batch in enumerate(super().batches(step, context)):
            if number == 11:
                self.state.ema.values["weight"].fill_(math.nan)
            yield batch


def test_an_average_that_is_not_finite_is_not_saved(folder, monkeypatch):
    task = Average(settings(ema_every=12))
    fresh = State.fresh
    monkeypatch.setattr(
        State, "fresh", lambda *given: setattr(task, "state", fresh(*given)) or task.state
    )
    refused(task, folder, "found averaged weights that are not after update 12 of 12")


@pytest.mark.parametrize(
    ("steps", "poisoned", "sentence"),
    [
        (20, range(2, 20), "found that 18 of the 20 updates of toy were skipped; .*not finite"),
        (20, range(0, 11), "found that 11 of the 20 updates"),
        (40, range(31, 40), "found that 9 of the last 10 updates"),
        (200, range(185, 200), "found that 15 of the last 20 updates"),
        (1, range(1), "found that 1 of the 1 updates"),
    ],
)
def test_a_run_that_made_few_of_its_updates_is_not_done(folder, steps, poisoned, sentence):
    cfg = settings(steps=steps, save_every=7, ema_every=1)
    refused(Line(cfg, poisoned=frozenset(poisoned)), folder, sentence)


@pytest.mark.parametrize(
    ("steps", "poisoned"),
    [
        (20, range(5, 15)),  # half of them
        (40, range(35, 40)),  # half of the last ones
        (100, range(0, 100, 20)),  # the paper's one in twenty
        (51, [50]),  # the last one, in a line of the log of its own
        (12, [0]),  # the first one
    ],
)
def test_a_run_that_skips_some_updates_is_done(folder, steps, poisoned):
    cfg = settings(steps=steps, log_every=50, ema_every=1)
    found = fit(Line(cfg, poisoned=frozenset(poisoned)), folder)
    assert found["skipped_updates"] == len(list(poisoned))
    assert folder.exists("weights")


class Rises(Line):
    """Its loss grows from update to update, with a gradient that hardly does."""

    most = 2.5e12

    def loss_sums(self, model, batch, step):
        sums = super().loss_sums(model, batch, step)
        more = self.most * len(batch["x"]) * step / (self.cfg.fit.steps - 1)
        return {name: value + more for name, value in sums.items()}


@pytest.mark.parametrize(("most", "ends"), [(2.5e12, True), (90.0, True), (3.0, False)])
def test_a_loss_that_ends_far_above_its_beginning_is_not_done(folder, most, ends):
    task = Rises(settings(log_every=1))
    task.most = most
    if ends:
        refused(task, folder, r"wanted a loss that falls, found .* at the end of .* at first\)")
    else:
        fit(task, folder)
        assert folder.exists("weights")


class Infinite(Line):
    """Its loss is not finite in the end, and its gradient is."""

    def loss_sums(self, model, batch, step):
        sums = super().loss_sums(model, batch, step)
        return sums if step < 8 else sums | {"square": sums["square"] + math.inf}


def test_a_loss_that_is_not_finite_in_the_end_is_not_done(folder):
    refused(Infinite(settings()), folder, "wanted a loss that falls, found no finite one")


class Unmeasured(Line):
    """What is measured in the end is no number."""

    def validate(self, model, step):
        return Validation({"distance": math.nan if step >= 10 else 1.0, "other": 1.0})


def test_a_model_that_cannot_be_measured_is_not_done(folder):
    said = []
    task = Unmeasured(settings())
    with pytest.raises(Diverged, match="found no finite distance after the 12 updates of toy"):
        Trainer(task, task.cfg, folder, ALONE,
                 lambda step, line, *, alarm=False: said.append((step, alarm))).fit()  # fmt: skip
    assert (10, True) in said  # and it was said before the end
    assert not folder.exists("weights")


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def test_the_log_is_valid_json_also_of_what_is_not_finite_and_goes_on_after_a_kill(folder):
    """A window of skipped updates has no loss, and the norm of its gradient is no number."""
    poisoned = frozenset({3, 4, 5})
    with pytest.raises(KeyboardInterrupt):
        fit(Line(settings(), poisoned=poisoned, stop_at=9), folder)
    fit(Line(settings(), poisoned=poisoned), folder)
    with folder.open(METRICS) as file:
        lines = [json.loads(line, parse_constant=no_constant) for line in file]
    (window,) = [line for line in lines if line["step"] == 6 and "loss" in line]
    assert (window["loss"], window["gradient_norm"]) == (None, None)
    assert all(line["loss"] > 0 for line in lines if line.get("loss", None) and line["step"] != 6)
    assert "square" not in window


def test_what_a_stage_leaves_is_valid_json_of_any_number():
    health = {"psnr_db": math.nan, "gap": math.inf, "deeper": {"most": [-math.inf, 1.0]}}
    text = Result(rows_in=1, rows_out=1, health=health).model_dump_json()
    assert json.loads(text, parse_constant=no_constant)["health"]["psnr_db"] is None


def test_the_same_command_says_the_same_again_and_another_rate_starts_over(folder, tmp_path):
    task = Spoilt(settings())
    refused(task, folder, "after update 5 of 12")
    again = Line(settings())  # what went wrong was an accident: it goes on from what is finite
    fit(again, folder)
    assert again.seen[0] == list(range(4 * 8, 5 * 8))
    assert folder.exists("weights")


# CLIP compares unit vectors: what is large but finite leaves its loss within bounds.
@pytest.mark.parametrize(("kind", "lr"), [("dvae", 1e6), ("prior", 1e6), ("clip", 1e30)])
def test_a_learning_rate_out_of_all_bounds_never_ends_as_done(tmp_path, kind, lr):
    cfg = KINDS[kind].settings(learning_rate=lr, learning_rate_end=lr, steps=12, clip_norm=None)
    task, out = KINDS[kind].task_of(tmp_path, cfg), open_folder(tmp_path / "out")
    refused(task, out, rf"lower {kind}.fit.learning_rate, now")
