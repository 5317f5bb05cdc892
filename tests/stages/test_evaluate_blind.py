"""A CLIP that does not see must not pass for one that does, whatever kind of blind it is."""

import numpy as np
import pytest

from stages.evaluate.checks import checks
from stages.evaluate.retrieval import figures
from tests.stages.reports import small_report

REPORT = small_report()
CAPTIONS = {
    "all differ": [str(n) for n in range(100)],
    "three that differ": ["a"] * 97 + ["b"] * 2 + ["c"],
    "twelve, evenly": [str(n % 12) for n in range(96)],
    "eight pictures": list("abcdefgh"),
}


def noise(rng, captions):
    """Each picture likes each caption as it happens, also two of the same words."""
    return rng.random((len(captions), len(captions)))


def whims(rng, captions):
    """Each picture likes some words as it happens."""
    words, places = np.unique(captions, return_inverse=True)
    return rng.random((len(captions), len(words)))[:, places]


def habits(rng, captions):
    """All pictures like the same words."""
    return np.tile(whims(rng, captions)[:1], (len(captions), 1))


def leanings(rng, captions):
    """All pictures like the same words, more or less."""
    return habits(rng, captions) + 0.3 * whims(rng, captions)


def passes(scores, captions):
    report = REPORT.model_copy(update={"clip": figures(scores, captions)})
    (check,) = (c for c in checks(report) if c.what.startswith("CLIP finds"))
    return check.ok


@pytest.mark.parametrize("blind", [noise, whims, habits, leanings])
@pytest.mark.parametrize("captions", CAPTIONS.values(), ids=CAPTIONS)
def test_a_blind_clip_fails_in_39_of_40_worlds(blind, captions):
    rng = np.random.default_rng(7)
    passed = [passes(blind(rng, captions), captions) for _ in range(80)]
    assert np.mean(passed) <= 0.025


@pytest.mark.parametrize("captions", list(CAPTIONS.values())[:3], ids=list(CAPTIONS)[:3])
def test_a_clip_that_sees_passes(captions):
    rng = np.random.default_rng(7)
    scores = noise(rng, captions) + 0.9 * np.equal.outer(captions, captions)
    assert passes(scores, captions)


def test_nothing_to_choose_from_is_no_proof_and_is_said():
    report = REPORT.model_copy(update={"clip": figures(np.ones((5, 5)), ["a"] * 5)})
    (check,) = (c for c in checks(report) if c.what.startswith("CLIP finds"))
    assert not check.ok
    assert "All pictures have the same caption" in check.meaning


def test_one_picture_proves_nothing():
    assert not passes(np.ones((1, 1)), ["a"])
