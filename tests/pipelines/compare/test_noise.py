"""P-values against SciPy's and against all outcomes counted; Holm's correction by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from pipelines.compare.noise import (
    holm,
    of_errors,
    of_intervals,
    of_means,
    of_prompts,
    of_shares,
    sign_flips,
)
from stages.evaluate.intervals import wilson


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (5, 0), (6, 2), (40, 61)])
def test_where_nothing_is_shared_sign_flips_are_mcnemars_exact_test(better, worse):
    one = [False] * better + [True] * worse + [True] * 7
    other = [True] * better + [False] * worse + [True] * 7
    found = of_shares(one, other, range(len(one)), "picture")
    wanted = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert found.p == pytest.approx(wanted)
    assert (found.items, found.differ) == (better + worse + 7, better + worse)


@pytest.mark.parametrize("totals", [[3, 1, -2, 4], [1, 1, 1, 1, 1, -8], [0, 0, 2], [-3]])
def test_sign_flips_count_all_throws(totals):
    throws = itertools.product((-1, 1), repeat=len(totals))
    sums = [abs(np.dot(signs, totals)) for signs in throws]
    assert sign_flips(np.array(totals)) == pytest.approx(
        np.mean(np.array(sums) >= abs(sum(totals)))
    )


def test_wordings_of_one_combination_are_one_throw():
    """Ten wordings of two combinations all changed: that is two throws, not twenty."""
    one, other = [False] * 20, [True] * 20
    names = [frozenset([n // 10]) for n in range(20)]
    assert of_prompts(one, other, names).p == 0.5
    assert of_prompts(one, other, [frozenset([n]) for n in range(20)]).p == pytest.approx(2**-19)


def test_prompts_of_two_combinations_never_have_less_noise_than_alone():
    rng = np.random.default_rng(0)
    names = [frozenset(rng.choice(12, 2, replace=False).tolist()) for _ in range(60)]
    for _ in range(20):
        one, other = (rng.random(60) < share for share in (0.5, 0.7))
        found = of_prompts(one.tolist(), other.tolist(), names)
        assert found.p >= of_shares(one, other, range(60), "prompt").p
        assert found.items == 60


def test_means_are_tested_as_scipy_does():
    rng = np.random.default_rng(0)
    one = rng.normal(size=50)
    other = one + rng.normal(0.1, 0.3, 50)
    found = of_means(one, other, float((other - one).mean()), "picture")
    assert found.p == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_errors_are_tested_by_the_ratio_of_their_means():
    """Small changes: the logarithm of a ratio is the difference over the mean."""
    rng = np.random.default_rng(0)
    one = 1 + 0.01 * rng.random(200)
    other = one * (1 + rng.normal(0.0002, 0.001, 200))
    found = of_errors(one, other, "picture").p
    assert found == pytest.approx(stats.ttest_rel(one, other).pvalue, rel=0.02)
    assert of_errors(one, one, "picture").p == 1
    assert of_errors(np.zeros(4), np.full(4, 0.1), "picture").p < 0.001


def test_intervals_of_different_prompts_by_newcombes_example():
    """56 of 70 against 48 of 80: method 10 finds 0.0524 to 0.3339 (Newcombe 1998, table II)."""
    found = of_intervals([56 / 70, 48 / 80], [wilson(56, 70), wilson(48, 80)], "prompt", 70)
    assert found.p == pytest.approx(2 * stats.norm.sf(1.959964 * 0.2 / (0.2 - 0.0524)), abs=1e-3)
    back = of_intervals([48 / 80, 56 / 70], [wilson(48, 80), wilson(56, 70)], "prompt", 70)
    assert back.p == pytest.approx(found.p)
    assert of_intervals([1.0, 1.0], [(0.9, 1.0), (0.8, 1.0)], "prompt", 9).p == 1


def test_holms_correction():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
    assert holm({}) == {}
