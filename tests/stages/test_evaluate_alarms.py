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


def test_drawings_far_from_held_out_pictures_are_an_alarm():
    def found(first, reconstructions, nearest, error=0.001):
        known = {"first": first, "reconstructions": reconstructions, "nearest": nearest}
        figures = network(error, **known)
        (check,) = alarms(report_of(networks=(figures,)))
        return check

    far = found(0.3, 0.1, 0.05)
    assert not far.ok
    assert "Drawings are 3.0 times as far" in far.meaning
    assert "prior.fit.steps" in far.meaning
    assert found(0.14, 0.1, 0.05).ok
    assert found(0.3, 0.1, 0.25).ok  # other prompts than held-out captions
    assert found(0.3, 0.1, 0.05, error=0.1).ok  # may be luck
    assert list(alarms(report_of(networks=(network(first=0.3),)))) == []


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
