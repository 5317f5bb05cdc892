"""A bad run is said first on the page, in words, each with what to change."""

import pytest

from stages.evaluate.alarms import alarms
from stages.evaluate.checks import checks
from stages.evaluate.held_out_loss import held_out_loss
from stages.evaluate.page import Gallery, render
from tests.stages.reports import network, small_report


def report_of(**parts):
    report = small_report().model_copy(update=parts)
    return report.model_copy(update={"checks": checks(report)})


def falling(*held_out):
    """The log of a prior whose training nats fall by 0.5 every 1,000 steps."""
    steps = range(1_000, 1_000 * len(held_out) + 1, 1_000)
    return {
        "image": [(step, 4 - step / 2_000) for step in range(50, steps[-1] + 1, 50)],
        "validation_image": list(zip(steps, held_out, strict=True)),
    }


def test_nats_that_rise_where_training_falls_are_overfitting():
    rising = held_out_loss(falling(2.0, 1.5, 1.75, 2.125), None)
    (found,) = alarms(report_of(prior=rising))
    assert not found.ok
    assert found.meaning == (
        "Overfitting, training pictures are memorised: validation loss was lowest at step 2,000 "
        "(1.500 nats) and ended at 2.125, while that of training pictures fell from 3.000 to "
        "2.000. Stop there (prior.fit.steps=2000), keep the best (prior.fit.best_of=10), or use "
        "more pictures or more dropout (prior.dropout, now 0)."
    )


@pytest.mark.parametrize("held_out", [(2.0, 1.5, 1.4), (2.0, 1.5, 1.51), (2.0,)])
def test_nats_that_fall_or_stand_still_are_no_alarm(held_out):
    (found,) = alarms(report_of(prior=held_out_loss(falling(*held_out), None)))
    assert found.ok


def test_nats_that_rise_with_those_of_training_are_no_overfitting():
    log = falling(1.5, 1.9)
    diverged = log | {"image": [(step, step / 1_000) for step, _ in log["image"]]}
    (found,) = alarms(report_of(prior=held_out_loss(diverged, None)))
    assert found.ok


def test_weights_that_were_kept_from_the_lowest_loss_are_no_alarm():
    (found,) = alarms(report_of(prior=held_out_loss(falling(2.0, 1.5, 1.75), 2_000)))
    assert found.ok
    assert found.found.endswith("kept is step 2,000")
    assert held_out_loss({"image": [(50, 4.0)]}, None) is None


def far(first, reconstructions, nearest, error=0.001, prompts="validation"):
    """The alarm of drawings so far away, for prompts of this set."""
    figures = network(error, first=first, reconstructions=reconstructions, nearest=nearest)
    samples = small_report().samples.model_copy(update={"prompts": {prompts: 4}})
    (check,) = alarms(report_of(networks=(figures,), samples=samples))
    return check


def test_drawings_of_held_out_captions_are_held_against_reconstructions():
    found = far(0.3, 0.1, 0.25)
    assert not found.ok
    assert (
        "Drawings are 3.0 times as far from real pictures as reconstructions are" in found.meaning
    )
    assert "prior.fit.steps" in found.meaning
    assert far(0.14, 0.1, 0.05).ok
    assert not far(0.16, 0.1, 0.05).ok
    assert far(0.16, 0.1, 0.05, error=0.01).ok  # may be luck
    assert list(alarms(report_of(networks=(network(first=0.3),)))) == []


def test_other_prompts_may_ask_for_what_held_out_pictures_do_not_show():
    assert far(0.29, 0.1, 0.05, prompts="held_out").ok
    assert not far(0.31, 0.1, 0.05, prompts="held_out").ok
    assert far(0.31, 0.05, 0.1, prompts="mine").ok is False
    assert far(0.31, 0.05, 0.11, prompts="mine").ok


def test_the_demo_is_no_alarm_and_a_prior_of_20_updates_is():
    """Distances that were measured by the demo's CLIP, with about their errors."""
    of_the_demo = {"reconstructions": 0.0076, "nearest": -0.0017, "error": 0.006}
    assert far(0.0281, **of_the_demo, prompts="held_out").ok
    for updates_20_or_200 in (1.082, 1.002):
        assert not far(updates_20_or_200, **of_the_demo, prompts="held_out").ok


def stage(**changes):
    return {
        "artifact": "pairs/0123", "settings": {}, "health": {}, "rows_in": 12, "rows_out": 9,
        "rejects": {}, "seconds": 1.0, "rows_per_second": 9.0,
    } | changes  # fmt: skip


def of_source(kind, warning):
    crawl = stage(settings={"source": {"kind": kind}})
    stages = {"crawl": crawl, "filter": stage(health={"warning": warning})}
    tree = small_report().model_dump() | {"stages": stages}
    report = type(small_report()).model_validate(tree)
    return report.model_copy(update={"checks": checks(report)})


def test_much_that_is_dropped_of_a_folder_is_said_with_its_remedy():
    words = "3 of the 12 pairs of the folder are dropped: lower filter.min_words"
    (found,) = alarms(of_source("folder", words))
    assert (found.ok, found.found, found.meaning) == (False, "9 of 12", f"{words}.")
    (kept,) = alarms(of_source("folder", None))
    assert kept.ok
    assert list(alarms(of_source("urls", None))) == []


def test_the_page_says_it_before_all_else_and_once():
    rising = held_out_loss(falling(2.0, 1.5, 2.0), None)
    page = render(report_of(prior=rising), Gallery())
    assert page.count("Overfitting") == 1
    assert page.index("Overfitting") < page.index('id="lost"') < page.index('class="tiles"')
    assert 'id="bad"' not in render(small_report(), Gallery())
