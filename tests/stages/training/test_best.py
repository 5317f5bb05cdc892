"""With best_of, a run leaves the averaged weights with the lowest validation loss."""

import math

import pytest
import torch

from infra.store import open_folder
from schemas.settings import ClipSettings, DvaeSettings
from stages.training.task import Validation
from tests.stages.training.test_trainer import metrics, run
from tests.stages.training.toy import Deep, Line, settings
from tests.stages.training.workers import learn, saved

FOUR = {"best_of": 4}  # after updates 3, 6, 9 and 12


class Judged(Line):
    """Its validation loss is as given, whatever it has learned; it notes what was measured."""

    losses = {3: 3.0, 6: 1.0, 9: 2.0, 12: 4.0}  # noqa: RUF012

    def validate(self, model, step):
        measured = vars(self).setdefault("measured", {})
        measured[step] = repr(model.weight.tolist()).encode()
        return Validation({"validation_loss": self.losses.get(step, 5.0)})


def exported(folder):
    return folder.open("weights").read()


def test_the_average_with_the_lowest_loss_is_what_is_left(folder):
    task = Judged(settings(**FOUR))
    health, said = run(task, folder)
    assert exported(folder) == task.measured[6] != task.measured[9]
    assert health["kept_step"] == 6
    assert any("keeps the average of step 6" in line and "1.0000" in line for line in said)


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ({3: 1.0, 6: 1.0, 9: 1.0, 12: 1.0}, 3),
        ({3: 4.0, 6: 3.0, 9: 2.0, 12: 1.0}, 12),
        ({3: math.nan, 6: 3.0, 9: math.inf, 12: 4.0}, 6),
        ({3: 3.0, 6: 2.0, 9: 4.0, 12: 5.0, 5: 0.5}, 6),  # of step 5 no loss is asked for
    ],
)
def test_of_equals_the_first_is_kept_and_never_one_without_a_number(folder, losses, kept):
    task = Judged(settings(**FOUR))
    task.losses = losses
    assert run(task, folder)[0]["kept_step"] == kept
    measured = [line["step"] for line in metrics(folder) if "validation_loss" in line]
    assert measured == [3, 5, 6, 9, 10, 12]  # 5 and 10: validate_every


@pytest.mark.parametrize("validate_every", [1, 3, 100])
def test_how_often_is_measured_besides_changes_nothing(folder, validate_every):
    task = Judged(settings(validate_every=validate_every, **FOUR))
    task.losses = {step: float(step != 4) for step in range(13)}
    assert run(task, folder)[0]["kept_step"] == 3


@pytest.mark.parametrize("stop_at", [5, 8, 11])
def test_a_stopped_run_keeps_what_an_uninterrupted_one_keeps(folder, tmp_path, stop_at):
    whole = open_folder(tmp_path / "whole")
    run(Judged(settings(**FOUR)), whole)
    with pytest.raises(KeyboardInterrupt):
        run(Judged(settings(**FOUR), stop_at=stop_at), folder)
    run(Judged(settings(**FOUR)), folder)
    assert exported(folder) == exported(whole)
    torch.testing.assert_close(saved(folder.url), saved(whole.url), rtol=0, atol=0)
    folder.remove("weights")  # killed after the last checkpoint
    run(Judged(settings(**FOUR)), folder)
    assert exported(folder) == exported(whole)


def test_without_a_choice_nothing_more_is_kept(folder):
    health, _ = run(Line(settings()), folder)
    assert "best" not in saved(folder.url)
    assert "kept_step" not in health


@pytest.mark.parametrize(
    ("stop_after", "losses", "kept", "ended"),
    [
        (1, {3: 3.0, 6: 1.0, 9: 2.0, 12: 0.5}, 6, 9),
        (1, {3: 3.0, 6: 3.0, 9: 2.0, 12: 0.5}, 3, 6),  # as good is not better
        (2, {3: 3.0, 6: 1.0, 9: 2.0, 12: 0.5}, 12, 12),
        (2, {3: 1.0, 6: math.nan, 9: 2.0, 12: 0.5}, 3, 9),
        (2, {3: 1.0, 6: 2.0, 9: 0.9, 12: 2.0}, 9, 12),  # counted anew after a better one
        (4, {3: 1.0, 6: 2.0, 9: 2.0, 12: 2.0}, 3, 12),
    ],
)
def test_validations_without_a_better_one_end_the_run(folder, stop_after, losses, kept, ended):
    task = Judged(settings(**FOUR, stop_after=stop_after))
    task.losses = losses
    health, said = run(task, folder)
    assert health["kept_step"] == kept
    assert exported(folder) == task.measured[kept]
    assert (f"stops at step {ended}/12" in "".join(said)) == (ended < 12)
    assert max(line["step"] for line in metrics(folder)) == saved(folder.url)["step"] == ended


@pytest.mark.parametrize("stop_at", [5, 8])
def test_a_stopped_run_ends_where_an_uninterrupted_one_does(folder, tmp_path, stop_at):
    cfg = settings(**FOUR, stop_after=1)
    whole = open_folder(tmp_path / "whole")
    run(Judged(cfg), whole)
    with pytest.raises(KeyboardInterrupt):
        run(Judged(cfg, stop_at=stop_at), folder)
    run(Judged(cfg), folder)
    torch.testing.assert_close(saved(folder.url), saved(whole.url), rtol=0, atol=0)
    folder.remove("weights")  # killed after the last checkpoint
    again = Judged(cfg)
    run(again, folder)
    assert not again.seen
    assert exported(folder) == exported(whole)


def test_to_stop_wants_a_choice():
    with pytest.raises(ValueError, match="stop_after=2 counts the validations of best_of, found"):
        settings(stop_after=2)


class DeepJudged(Deep):
    def validate(self, model, step):
        return Validation({"validation_loss": abs(step - 6.0)})


def test_two_workers_with_parts_or_copies_agree(tmp_path):
    """Only rank 0 measures."""
    for name, changes in (("one", {}), ("copies", {}), ("parts", {"shard": True})):
        cfg = settings(**FOUR, stop_after=2, **changes)
        task = DeepJudged(cfg, noise=0.0)
        learn(1 if name == "one" else 2, (cfg, task, tmp_path / name))
    best = saved(tmp_path / "one")["best"]
    assert best["step"] == 6
    for name in ("copies", "parts"):
        torch.testing.assert_close(saved(tmp_path / name)["best"], best, rtol=1e-4, atol=1e-6)


def test_models_without_a_validation_loss_refuse_to_choose():
    for kind in (DvaeSettings, ClipSettings):
        with pytest.raises(ValueError, match=r"best_of chooses by .* which only the prior has"):
            kind(fit=kind().fit.model_dump() | FOUR)
