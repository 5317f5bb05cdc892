"""Strengths against SciPy's optimum of the likelihood as it is written; intervals by planting."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from scipy.stats import bootstrap

from stages.evaluate.bradley_terry import strength_intervals, strengths

TRUE = np.array([0.9, 0.2, -1.1])


def planted(captions, rng, votes=5, true=TRUE):
    """Each caption has one pair of systems, and so many votes on it."""
    meetings = list(combinations(range(len(true)), 2))
    wins = np.zeros((captions, len(true), len(true)))
    for caption in range(captions):
        i, j = meetings[caption % len(meetings)]
        wins[caption, i, j] = rng.binomial(votes, expit(true[i] - true[j]))
        wins[caption, j, i] = votes - wins[caption, i, j]
    return wins


def loss(found, wins):
    """The likelihood: each vote, and half a win and half a loss against a system of strength 0."""
    votes = sum(
        wins[i, j] * log_expit(found[i] - found[j])
        for i in range(len(found))
        for j in range(len(found))
    )
    return -votes - (log_expit(found) + log_expit(-found)).sum() / 2


@pytest.mark.parametrize(
    "wins",
    [
        planted(60, np.random.default_rng(0)).sum(axis=0),
        np.array([[0.0, 5000.0], [0.0, 0.0]]),  # never lost
        np.array([[0.0, 3.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),  # one never compared
        np.zeros((2, 2)),
    ],
)
def test_strengths_are_where_the_likelihood_is_greatest(wins):
    best = minimize(loss, np.zeros(len(wins)), args=(wins,), method="BFGS", tol=1e-9).x
    assert strengths(wins) == pytest.approx(best, abs=1e-4)


def test_two_systems_differ_by_the_log_odds():
    one, other = strengths(np.array([[0.0, 9_000.0], [1_000.0, 0.0]]))
    assert one - other == pytest.approx(np.log(9), abs=1e-3)


def test_planted_strengths_are_found():
    found = strengths(planted(3_000, np.random.default_rng(1)).sum(axis=0))
    assert found - found.mean() == pytest.approx(TRUE - TRUE.mean(), abs=0.06)


def test_the_interval_is_scipys_bootstrap():
    wins = planted(90, np.random.default_rng(2))

    def resampled(rows, axis):
        return strengths(wins[rows].sum(axis=-3))[..., 0]

    found = bootstrap(
        (np.arange(90),), resampled, method="percentile", n_resamples=2_000, random_state=0
    ).confidence_interval
    assert strength_intervals(wins)[0] == pytest.approx([found.low, found.high], abs=0.03)


def test_the_interval_covers_the_truth_nearly_always():
    rng = np.random.default_rng(3)
    covered = []
    for draw in range(40):
        low, high = strength_intervals(planted(60, rng), seed=draw).T
        covered.append((low <= TRUE) & (high >= TRUE))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.05)


def test_votes_on_one_caption_count_once():
    """A hundred raters who are of one mind on each of ten captions are ten observations."""
    wins = np.zeros((10, 2, 2))
    wins[:7, 0, 1] = wins[7:, 1, 0] = 100
    low, high = strength_intervals(wins)[0]
    assert low < 0 < high
