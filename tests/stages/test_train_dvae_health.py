"""A run that is set badly says so while it trains, and nothing is encoded with what it made."""

import re

import pytest

from infra.store import open_folder
from schemas.artifacts import DVAE
from schemas.errors import GateClosed
from schemas.manifest import Result
from schemas.settings import DvaeSettings, EncodeSettings, TokenSpec
from stages.encode.gate import check_quality
from stages.train_dvae.health import alarm
from stages.train_dvae.task import DvaeTask
from stages.training.trainer import Trainer
from tests.stages.finished import finish
from tests.stages.training.pairs import tables
from tests.stages.training.toy import ALONE, nodes

# What `python -m tests.bench.dvae_quality world` measures of a run of 3,000 updates that goes well.
HEALTHY = {
    "psnr_db": 24.0, "relaxed_psnr_db": 24.1, "psnr_gap_db": 0.1, "mean_colour_psnr_db": 14.4,
    "codes_used": 140.0, "perplexity": 55.0, "kl_per_code": 5.2,
}  # fmt: skip


def settings(**changes):
    training = {
        "steps": 150, "batch_size": 8, "learning_rate": 4e-3, "learning_rate_end": 4e-4,
        "beta2": 0.99, "clip_norm": 1.0, "ema_share": 0.05, "save_every": 1_000,
        "validate_every": 50, "log_every": 1_000, "threads": 1,
    }  # fmt: skip
    sizes = {"width": 8, "blocks": 1, "codebook_width": 16, "image_vocab": 64, "side": 16}
    sizes |= {"beta_ramp_share": 0.1, "temperature_share": 0.5}
    return DvaeSettings(**{**sizes, **nodes(training), **changes})


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"beta": 0.0}, "raise dvae.beta, now 0 (the paper's is 6.6, plain pictures want more)"),
        ({"beta": 500.0}, "lower dvae.beta, now 500 (the paper's is 6.6)"),
        (
            {"temperature_start": 3.0, "temperature_end": 3.0},
            "lower dvae.temperature_end, now 3 (the paper's is 1/16)",
        ),
        (
            {"temperature_start": 0.03, "temperature_end": 0.03},
            "raise dvae.temperature_start, now 0.03 (the paper's is 1)",
        ),
    ],
    ids=["no KL", "too much KL", "too warm", "too cold"],
)
def test_a_badly_set_run_trips_the_alarm_and_the_gate_with_the_right_advice(
    tmp_path, changes, advice
):
    out, said = open_folder(tmp_path / "dvae"), []

    def say(step, line, *, alarm=False):
        if alarm:
            said.append((step, line))

    cfg = settings(**changes)
    health = Trainer(DvaeTask(cfg, *tables(tmp_path)), cfg, out, ALONE, say).fit()

    assert said[-1][0] == 150
    assert advice in said[-1][1]
    assert said[0][0] < 150, "it was not said before the end"
    made = finish(
        out, DVAE, Result(rows_in=40, rows_out=40), **health, alarm=alarm(health, cfg, 150)
    )
    encode = EncodeSettings(tokens=TokenSpec(text_vocab=300, text_len=8, image_vocab=64, grid=2))
    with pytest.raises(GateClosed, match=re.escape(advice)):
        check_quality(made.manifest(DVAE), encode)


def test_a_healthy_run_trips_nothing():
    cfg = settings(image_vocab=512)
    assert alarm(HEALTHY, cfg, 150) is None


@pytest.mark.parametrize(("perplexity", "collapsed"), [(100.0, False), (7.0, True)])
def test_a_few_pictures_cannot_use_all_of_a_large_codebook(perplexity, collapsed):
    """One picture of 12 x 12 codes: a perplexity of 144 is the most there is."""
    seen = HEALTHY | {"positions": 144, "perplexity": perplexity}
    assert (alarm(seen, settings(image_vocab=8_192), 150) is not None) == collapsed


def test_a_codebook_of_one_code_is_no_crash():
    seen = HEALTHY | {"psnr_db": 14.5, "perplexity": 1.0, "codes_used": 1.0, "kl_per_code": 0.0}
    assert "carry next to nothing" in alarm(seen, settings(image_vocab=1), 150)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (
            {"psnr_db": 15.3},
            "the codes carry next to nothing: 15.3 dB, and a picture's mean colour",
        ),
        (
            {"codes_used": 30, "perplexity": 20.0},
            "the codebook collapses: of 512 codes 30 are in use",
        ),
        ({"relaxed_psnr_db": 25.5, "psnr_gap_db": 1.5}, "the decoder draws from mixtures of codes"),
    ],
)
def test_each_thing_that_goes_wrong_is_said_with_its_figures(seen, words):
    cfg = settings(image_vocab=512)
    sentence = alarm(HEALTHY | seen, cfg, 150)
    assert sentence is not None
    assert sentence.startswith(words)


def test_a_run_is_given_time_before_it_is_judged():
    cfg = settings()
    poor = HEALTHY | {"psnr_db": 14.0}
    assert alarm(poor, cfg, 14) is None
    assert alarm(poor, cfg, 15) is not None


def test_an_average_that_still_holds_the_random_start_is_not_judged():
    cfg = settings()
    slow = cfg.model_copy(update={"fit": cfg.fit.model_copy(update={"ema_share": 0.2})})
    poor = HEALTHY | {"psnr_db": 14.0}
    assert alarm(poor, slow, 59) is None
    assert alarm(poor, slow, 60) is not None


def test_mixtures_are_no_fault_while_the_temperature_still_falls():
    soft = HEALTHY | {"relaxed_psnr_db": 25.5, "psnr_gap_db": 1.5}
    cfg = settings(image_vocab=512, temperature_share=0.8)
    assert alarm(soft, cfg, 100) is None
    assert alarm(soft, cfg, 120) is not None
