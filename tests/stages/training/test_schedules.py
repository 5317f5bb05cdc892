import pytest
from pydantic import ValidationError

from schemas.settings import DvaeSettings, FitSettings, PriorSettings, TrainingSettings
from stages.training.schedules import cosine, ema_decay, learning_rate
from tests.stages.training.toy import nodes

DVAE, PRIOR = DvaeSettings(), PriorSettings()
PLAIN = {
    "steps": 10, "batch_size": 8, "learning_rate": 1.0, "learning_rate_end": 0.5, "ema_share": 0.1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("share", "updates", "start", "end"),
    [
        (DVAE.beta_ramp_share, 5_000, 0.0, 6.6),
        (DVAE.temperature_share, 150_000, 1.0, 1 / 16),
    ],
)
def test_the_dvae_schedules_are_the_papers_at_its_length(share, updates, start, end):
    length = share * 3_000_000
    assert cosine(0, length=length, start=start, end=end) == start
    middle = cosine(updates // 2, length=length, start=start, end=end)
    assert middle == pytest.approx((start + end) / 2)
    assert cosine(updates // 3, length=length, start=start, end=end) == pytest.approx(
        0.75 * start + 0.25 * end, rel=1e-3
    )  # cos(60 degrees) = 1/2
    assert cosine(updates, length=length, start=start, end=end) == pytest.approx(end)
    assert cosine(3_000_000, length=length, start=start, end=end) == end


def test_the_dvae_learning_rate_is_the_papers():
    assert learning_rate(0, DVAE.fit) == 1e-4
    assert learning_rate(600_000, DVAE.fit) == pytest.approx((1e-4 + 1.25e-6) / 2)
    assert learning_rate(1_200_000, DVAE.fit) == 1.25e-6
    assert learning_rate(2_999_999, DVAE.fit) == 1.25e-6


def test_the_prior_warms_up_over_5000_updates_and_ends_at_a_32nd():
    fit = PRIOR.fit
    assert learning_rate(0, fit) == pytest.approx(4.5e-4 / 5_000)
    assert learning_rate(2_499, fit) == pytest.approx(4.5e-4 / 2)
    assert learning_rate(5_000, fit) == pytest.approx(4.5e-4)
    assert learning_rate(200_000, fit, halvings=2) == pytest.approx(4.5e-4 / 4)
    assert learning_rate(429_999, fit, halvings=5) == pytest.approx(4.5e-4 / 32)
    falling = fit.model_copy(update={"decay": "cosine"})
    assert learning_rate(430_000, falling) == pytest.approx(4.5e-4 / 32)
    sizes = [learning_rate(step, falling) for step in range(0, 430_000, 1_000)]
    assert max(sizes) == pytest.approx(4.5e-4)


def test_no_warm_up_starts_at_the_full_learning_rate():
    fit = FitSettings(**PLAIN)
    assert learning_rate(0, fit) == 1.0
    assert learning_rate(10, fit) == 0.5


def test_averaging_is_the_papers_at_its_length():
    assert ema_decay(DVAE.fit) == pytest.approx(0.999)
    assert ema_decay(PRIOR.fit) == pytest.approx(0.99)
    assert PRIOR.fit.ema_every == 25


def test_a_horizon_shorter_than_an_update_averages_nothing():
    fit = FitSettings(**PLAIN | {"ema_share": 0.01})
    assert ema_decay(fit) == 0.0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learning_rate_end": 2.0}, r"must not exceed learning_rate \(1.0\)"),
        ({"ema_every": 25}, r"ema_every \(25\) must not exceed steps \(10\)"),
        ({"workers": 9}, r"run.workers \(9\) must not exceed fit.batch_size \(8\)"),
    ],
)
def test_settings_under_which_a_run_would_not_be_what_it_seems_are_refused(changes, sentence):
    with pytest.raises(ValidationError, match=sentence):
        TrainingSettings(**nodes(PLAIN | changes))
