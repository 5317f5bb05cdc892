"""The learning rate is halved where the training loss has stopped falling, and nowhere else."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from schemas.settings import PriorSettings
from stages.training.schedules import Plateau, learning_rate
from tests.stages.training.test_trainer import metrics, run
from tests.stages.training.toy import Line, flat, settings
from tests.stages.training.workers import learn, saved

# Windows of 2 updates after 8 of warm-up; 8 updates without a better mean are a plateau.
CFG = settings(
    steps=80,
    learning_rate=0.32,
    learning_rate_end=0.02,
    warmup_share=0.1,
    decay="plateau",
    patience_share=0.1,
)


def learning_rates(losses, cfg=CFG):
    """What each update is made with, when these are the losses."""
    fit, plateau, sizes = cfg.fit, Plateau(), []
    for step, loss in enumerate(losses):
        plateau.update(loss, step, fit)
        sizes.append(learning_rate(step, fit, plateau.halvings))
    return sizes


def where_halved(losses, cfg=CFG):
    sizes = learning_rates(losses, cfg)
    return [n for n in range(1, len(sizes)) if sizes[n] == sizes[n - 1] / 2]


def test_a_loss_that_falls_is_left_alone_and_a_flat_one_is_halved_after_a_patience():
    falling = [10 * 0.99**n for n in range(80)]
    assert where_halved(falling) == []
    # the best window is that of updates 8 and 9; four more are no better
    assert where_halved([5.0] * 80) == [17, 25, 33, 41]
    assert learning_rates([5.0] * 80)[-1] == 0.02  # four halvings, and never below the end
    # falls until update 28, so the window of 28 and 29 is the best
    assert where_halved([80.0 - min(n, 28) for n in range(80)]) == [37, 45, 53, 61]


def test_a_fall_by_less_than_a_thousandth_is_none_also_below_zero():
    assert where_halved([5 * 0.9996**n for n in range(80)]) == []  # 0.0008 a window: adds up
    # 0.0002 a window: the sixth is better
    assert where_halved([5 * 0.9999**n for n in range(80)]) == [17, 29, 41, 53]
    assert where_halved([-1 - 0.01 * n for n in range(80)]) == []
    assert where_halved([-1 - 0.00001 * n for n in range(80)])[0] == 17


def restated(losses, *, warmup, window, windows, most):
    """Say the same with a list of all means."""
    means = {
        start + window - 1: np.nanmean(losses[start : start + window])
        for start in range(warmup, len(losses) - window + 1, window)
        if not np.isnan(losses[start : start + window]).all()
    }
    found, best, since = [], math.inf, 0
    for end, mean in means.items():
        better = best == math.inf or mean < best - abs(best) / 1_000
        best, since = (mean, 0) if better else (best, since + 1)
        if since == windows and len(found) < most:
            found.append(end)
            since = 0
    return found


@pytest.mark.parametrize("seed", range(20))
def test_noisy_losses_are_halved_where_a_list_of_all_means_says(seed):
    draw = np.random.default_rng(seed)
    losses = 3 + 2 * np.exp(-np.arange(80) / 10) + 0.05 * draw.standard_normal(80)
    losses[draw.integers(80, size=6)] = math.nan  # skipped updates
    expected = restated(losses, warmup=8, window=2, windows=4, most=4)
    assert where_halved(losses.tolist()) == expected
    assert expected


def test_the_warm_up_is_never_interrupted():
    sizes = learning_rates(
        [1.0] * 8 + [5.0] * 72
    )  # better than all that follows, and not looked at
    assert sizes[:8] == [pytest.approx(0.04 * n) for n in range(1, 9)]
    assert where_halved([1.0] * 8 + [5.0] * 72)[0] == 17


def test_a_window_of_skipped_updates_alone_says_nothing():
    losses = [5.0] * 80
    losses[10:12] = [math.nan, math.inf]
    assert where_halved(losses) == [19, 27, 35, 43]  # one window later


def noisy(**changes):
    """A run that reaches its noise at once, so that it is halved several times."""
    return Line(settings(**(flat(CFG) | {"learning_rate_end": 0.001} | changes)), noise=1.0)


def test_a_resumed_run_halves_where_an_uninterrupted_one_does(folder, tmp_path):
    from infra.store import open_folder

    whole = open_folder(tmp_path / "whole")
    odd = {"save_every": 5, "log_every": 1}  # in the middle of windows
    run(noisy(**odd), whole)
    for stop_at in (17, 31, 58):
        task = noisy(**odd)
        task.stop_at = stop_at
        with pytest.raises(KeyboardInterrupt):
            run(task, folder)
    run(noisy(**odd), folder)
    resumed, expected = saved(folder.url), saved(whole.url)
    torch.testing.assert_close(resumed, expected, rtol=0, atol=0)
    assert resumed["plateau"] == expected["plateau"]
    assert expected["plateau"]["halvings"] >= 2
    sizes = [[line["learning_rate"] for line in metrics(out) if "loss" in line] for out in
             (folder, whole)]  # fmt: skip
    assert sizes[0] == sizes[1]
    assert sizes[0][-1] == 0.32 / 2 ** expected["plateau"]["halvings"]


def test_the_update_is_made_with_the_halved_learning_rate(folder):
    made = []

    class Still(Line):
        """Its loss is zero: only weight decay moves the weights, by learning rate x decay."""

        def loss_sums(self, model, batch, step):
            made.append(model.weight.detach().clone())
            return {
                name: 0 * value for name, value in super().loss_sums(model, batch, step).items()
            }

    cfg = settings(**(flat(CFG) | {"weight_decay": 0.1}))
    run(Still(cfg, noise=0.0), folder)
    shrunk = [1 - (b / a).mean().item() for a, b in pairwise(made)]
    expected = [0.1 * size for size in learning_rates([0.0] * 80)][:79]
    assert shrunk == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert expected[-1] == pytest.approx(0.1 * 0.02)


def test_skipped_updates_do_not_poison_the_mean(folder):
    task = noisy()
    task.poisoned = frozenset({12, 13, 20, 33})
    run(task, folder)
    found = saved(folder.url)["plateau"]
    assert found["halvings"] >= 2
    assert math.isfinite(found["best"])
    assert math.isfinite(found["total"])


def test_two_workers_see_the_loss_of_both_and_halve_as_one_does(tmp_path):
    cfg = settings(**(flat(CFG) | {"learning_rate_end": 0.001}))
    task = Line(cfg, noise=0.0)
    learn(1, (cfg, task, tmp_path / "one"))
    learn(2, (cfg, task, tmp_path / "two"))
    alone, together = saved(tmp_path / "one"), saved(tmp_path / "two")
    assert together["plateau"] == pytest.approx(alone["plateau"], rel=1e-4)
    assert alone["plateau"]["halvings"] >= 1
    torch.testing.assert_close(together["model"], alone["model"], rtol=1e-3, atol=1e-4)


def test_the_papers_prior_halves_five_times():
    fit = PriorSettings().fit
    assert fit.decay == "plateau"
    plateau = Plateau()
    for step in range(0, 430_000):
        plateau.update(1.0, step, fit)
    assert plateau.halvings == 5
    assert learning_rate(429_999, fit, plateau.halvings) == fit.learning_rate_end == 4.5e-4 / 32


def test_a_loss_that_falls_along_a_power_law_is_halved_in_the_second_half_of_the_papers_run():
    fit, plateau, halved = PriorSettings().fit, Plateau(), []
    steps = np.arange(430_000)
    noise = 0.01 * np.random.default_rng(0).standard_normal(430_000)  # of a mean over 1,024 rows
    losses = 3.3 + 3 * (steps + 1) ** -0.2 + noise
    for step, loss in enumerate(losses.tolist()):
        before = plateau.halvings
        plateau.update(loss, step, fit)
        if plateau.halvings > before:
            halved.append(step)
    assert len(halved) == 5
    assert halved[0] > 430_000 / 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"decay_share": 0.5}, "decay_share .0.5. is the cosine's"),
        ({"learning_rate_end": 0.2}, "wanted at most half of it, found 0.2"),
        ({"patience_share": 0.01}, "of 80 steps is less than one update; set it to 0.013"),
        ({"patience_share": 0.3}, "4 plateaus of .* do not fit .*set it to 0.23 or less"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValidationError, match=sentence):
        settings(**(flat(CFG) | changes))
