import json
import math

import pytest
import torch
from torch import nn

from schemas.artifacts import METRICS
from stages.training.divergence import Diverged
from stages.training.state import State
from stages.training.trainer import Trainer
from tests.stages.training.toy import ALONE, Line, points, settings, silent
from tests.stages.training.workers import saved


def run(task, out, cfg=None):
    lines = []

    def say(step, line, *, alarm=False):
        lines.append(f"ALARM {line}" if alarm else line)

    measured = Trainer(task, cfg or task.cfg, out, ALONE, say).fit()
    return measured, lines


def metrics(out):
    with out.open(METRICS) as file:
        return [json.loads(line) for line in file]


def one_update(task, cfg, batch, folder):
    """The gradient of one update, before any clipping."""
    trainer = Trainer(task, cfg, folder, ALONE, silent)
    gradients = {}
    for name, weight in trainer.model.named_parameters():
        weight.register_post_accumulate_grad_hook(
            lambda w, name=name: gradients.__setitem__(name, w.grad.clone())
        )
    torch.manual_seed(1)
    trainer.train_step(batch)
    return gradients


def test_the_gradient_is_that_of_the_weighted_means_written_out(folder):
    cfg = settings(clip_norm=None)
    task, batch = Line(cfg, noise=0.0), points(list(range(8)))
    gradients = one_update(task, cfg, batch, folder)

    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    errors = [model(x) - y for x, y in zip(batch["x"], batch["y"], strict=True)]
    even = [errors[0], errors[2], errors[4], errors[6]]
    loss = 0.75 * sum(e**2 for e in errors) / 8 + 0.25 * sum(e.abs() for e in even) / 4
    loss.backward()
    torch.testing.assert_close(gradients["weight"], model.weight.grad)
    torch.testing.assert_close(gradients["bias"], model.bias.grad)


def test_the_gradient_does_not_depend_on_the_rows_of_a_forward_pass(folder):
    task, batch = Line(settings(), noise=0.0), points(list(range(8)))
    whole = one_update(task, settings(clip_norm=None), batch, folder)
    for rows in (1, 3, 5):
        cfg = settings(clip_norm=None, micro_batch_size=rows)
        parts = one_update(task, cfg, batch, folder)
        torch.testing.assert_close(parts, whole)


def test_gradients_are_clipped_by_their_global_norm(folder):
    cfg = settings(clip_norm=0.5)
    task, batch = Line(cfg, noise=0.0), points(list(range(8)))
    trainer = Trainer(task, cfg, folder, ALONE, silent)
    clipped = {}
    trainer.state.optimizer.register_step_pre_hook(
        lambda adam, args, kwargs: clipped.update(
            {n: w.grad.clone() for n, w in trainer.model.named_parameters()}
        )
    )
    norm = trainer.train_step(batch)
    assert norm > 0.5
    total = math.sqrt(sum(g.square().sum().item() for g in clipped.values()))
    assert total == pytest.approx(0.5, rel=1e-4)


def test_a_resumed_run_ends_with_the_very_same_bits(folder, tmp_path):
    from infra.store import open_folder

    whole = open_folder(tmp_path / "whole")
    cfg = settings()
    expected, _ = run(Line(cfg), whole)

    for stop_at in (2, 6, 7, 11):  # killed four times, each time a little further on
        with pytest.raises(KeyboardInterrupt):
            run(Line(cfg, stop_at=stop_at), folder)
    last = Line(cfg)
    measured, _ = run(last, folder)

    assert measured == expected
    assert len(last.seen) <= 4 + 1  # from step 8 on, and one batch asked for in advance
    with folder.open("weights") as ours, whole.open("weights") as theirs:
        assert ours.read() == theirs.read()
    resumed, uninterrupted = saved(folder.url), saved(whole.url)
    torch.testing.assert_close(resumed, uninterrupted, rtol=0, atol=0)
    timeless = [
        {k: v for k, v in line.items() if k not in ("seconds", "rows_per_second", "waiting_share")}
        for line in metrics(folder)
    ]
    assert [line["step"] for line in timeless] == [line["step"] for line in metrics(whole)]
    assert [line.get("loss") for line in timeless] == [line.get("loss") for line in metrics(whole)]


def test_rows_that_could_not_be_used_are_counted(folder):
    run(Line(settings(log_every=4), keep=(2, 1)), folder)  # 4 of 8 rows of each update
    assert [line["rows_left_out"] for line in metrics(folder) if "loss" in line] == [16, 16, 16]


def test_a_run_that_was_saved_at_its_end_only_exports(folder):
    cfg = settings()
    run(Line(cfg), folder)
    folder.remove("weights")
    steps = [line["step"] for line in metrics(folder)]
    again = Line(cfg)
    run(again, folder)
    assert folder.exists("weights")
    assert [line["step"] for line in metrics(folder)] == steps  # none of them twice
    assert again.seen == []


def test_metrics_are_one_line_each_and_means_over_the_window(folder):
    task = Line(settings(log_every=4), noise=0.0)
    _, said = run(task, folder)
    lines = metrics(folder)
    training = [line for line in lines if "loss" in line]
    assert [line["step"] for line in training] == [4, 8, 12]
    assert [line["step"] for line in lines if "distance" in line] == [5, 10, 12]
    for line in training:
        weights = task.loss_weights(line["step"] - 1)
        assert line["loss"] == pytest.approx(
            sum(weights[name] * line[name] for name in ("square", "absolute"))
        )
        assert line["heat"] == pytest.approx(1 - (line["step"] - 1) / 100)
        assert 0 <= line["waiting_share"] <= 1
        assert line["rows_left_out"] == 0
    assert said[0].startswith("toy  step 4/12  loss ")
    assert folder.list("pictures/") == [f"pictures/dot-{step:08d}.png" for step in (5, 10, 12)]


def test_tensorboard_reads_the_same_numbers(folder, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(Line(settings(log_every=4)), folder)
    (name,) = folder.list("events/")
    events = EventAccumulator(str(tmp_path / "artifact" / name))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    lines = [line for line in metrics(folder) if "loss" in line]
    assert found == [(line["step"], pytest.approx(line["loss"])) for line in lines]
    assert [event.step for event in events.Images("dot")] == [5, 10, 12]


def test_what_goes_wrong_is_said_aloud_and_kept(folder):
    _, said = run(Line(settings()), folder)
    assert [line for line in said if "ALARM" in line] == ["ALARM toy  step 5/12  far at step 5"]
    (name,) = folder.list("events/")
    with folder.open(name) as file:
        assert b"far at step 5" in file.read()


def test_the_average_is_its_closed_form():
    cfg = settings(steps=100, ema_share=0.05, ema_every=1)  # a horizon of 5 updates: 0.8 stays
    model = nn.Linear(1, 1, bias=False)
    history = [3.0, -1.0, 4.0, 1.0, -5.0]
    nn.init.constant_(model.weight, history[0])
    state = State.fresh(model, cfg.fit)
    for value in history[1:]:
        nn.init.constant_(model.weight, value)
        state.ema.update()
    n = len(history) - 1
    expected = 0.8**n * history[0] + sum(0.2 * 0.8 ** (n - i) * history[i] for i in range(1, n + 1))
    with state.ema.swapped_in():
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == history[-1]


def test_the_average_is_refreshed_after_every_third_update_and_at_no_other(folder):
    made = []

    class Watched(Line):
        def loss_sums(self, model, batch, step):
            made.append(model.weight.detach().clone())  # after `step` updates
            return super().loss_sums(model, batch, step)

    cfg = settings(steps=8, ema_share=0.75, ema_every=3)  # a horizon of 6 updates: half stays
    run(Watched(cfg), folder)
    expected = made[0] / 4 + made[3] / 4 + made[6] / 2
    torch.testing.assert_close(saved(folder.url)["average"]["weight"], expected)


def test_averaged_weights_are_what_is_measured_and_exported(folder):
    cfg = settings(ema_share=1.0, ema_every=1)
    measured, _ = run(Line(cfg), folder)
    found = saved(folder.url)
    average, last = found["average"]["weight"], found["model"]["weight"]
    assert not torch.equal(average, last)
    with folder.open("weights") as file:
        assert file.read() == repr(average.tolist()).encode()
    assert measured["distance"] == pytest.approx((average[0] - torch.tensor([2, -1, 0.5])).norm())


def test_an_update_without_a_finite_gradient_is_skipped_and_counted(folder):
    cfg = settings(steps=6, ema_every=1, save_every=1)
    measured, _ = run(Line(cfg, poisoned=frozenset({2, 3})), folder)
    assert measured["skipped_updates"] == 2
    assert metrics(folder)[-1]["distance"] < 10  # and nothing was spoilt


def test_a_run_that_diverges_ends_where_it_would_have_though_it_was_killed(folder):
    cfg = settings(steps=200)
    poisoned = frozenset(range(10, 99))
    with pytest.raises(KeyboardInterrupt):
        run(Line(cfg, poisoned=poisoned, stop_at=30), folder)
    said = r"50 in a row up to update 60 of 200 of toy .*lower toy.fit.learning_rate, now 0.05"
    with pytest.raises(Diverged, match=said):
        run(Line(cfg, poisoned=poisoned), folder)


def test_bfloat16_computes_in_bfloat16_and_keeps_weights_in_float32(folder):
    kinds = []

    class Watched(Line):
        def loss_sums(self, model, batch, step):
            kinds.append(model(batch["x"]).dtype)
            return super().loss_sums(model, batch, step)

    run(Watched(settings(steps=2, precision="bfloat16")), folder)
    assert kinds == [torch.bfloat16] * 2
    assert saved(folder.url)["model"]["weight"].dtype == torch.float32


def test_numbers_too_small_for_full_precision_are_zeros_while_a_model_learns(folder):
    found = []

    class Watched(Line):
        def loss_sums(self, model, batch, step):
            found.append((torch.tensor(1e-39) * 1).item())
            return super().loss_sums(model, batch, step)

    run(Watched(settings(steps=2)), folder)
    assert found == [0.0, 0.0]
    assert (torch.tensor(1e-39) * 1).item() > 0


def test_how_often_is_saved_and_measured_changes_no_weight_and_no_fingerprint(tmp_path):
    from infra.store import open_folder

    found = []
    for save_every, validate_every in ((4, 5), (1, 1), (12, 100)):
        cfg = settings(save_every=save_every, validate_every=validate_every, decay="plateau",
                       patience_share=0.1)  # fmt: skip
        out = open_folder(tmp_path / f"every {save_every}")
        run(Line(cfg), out)
        found.append((cfg.digest, saved(out.url)))
    for digest, state in found[1:]:
        assert digest == found[0][0]
        torch.testing.assert_close(state, found[0][1], rtol=0, atol=0)
