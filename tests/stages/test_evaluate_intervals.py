"""Intervals and standard errors: by hand, and by simulation where prompts share combinations."""

import math

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta

from stages.evaluate.intervals import exact, interval, standard_error, wilson


def groups(*sizes):
    return [frozenset([name]) for name, size in enumerate(sizes) for _ in range(size)]


def hits(*counts):
    """So many right of so many, one after the other."""
    return [place < right for right, size in counts for place in range(size)]


# ---- of independent trials


@pytest.mark.parametrize(
    ("interval_of", "successes", "trials", "low", "high"),
    [
        (wilson, 0, 10, 0.0, 0.27753),  # the roots p of (share - p)^2 = z^2 p (1 - p) / n
        (wilson, 10, 10, 0.72247, 1.0),
        (wilson, 170, 200, 0.79394, 0.89286),
        (wilson, 1, 2, 0.09453, 0.90547),
        (exact, 0, 10, 0.0, 0.30850),
        (exact, 10, 10, 0.69150, 1.0),
        (exact, 1, 2, 0.01258, 0.98742),
        *((interval_of, 0, 0, 0.0, 1.0) for interval_of in (wilson, exact)),
    ],
)
def test_the_interval_of_the_tables(interval_of, successes, trials, low, high):
    assert interval_of(successes, trials) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize(
    ("trials", "chance"), [(100, 0.01), (512, 0.01), (100, 0.243), (60, 1 / 60)]
)
def test_its_lower_end_is_above_the_truth_in_one_case_of_forty_at_most(trials, chance):
    above = [n for n in range(trials + 1) if exact(n, trials)[0] > chance]
    # of a binomial: P(at least k) is the beta distribution's share below the chance
    assert beta.cdf(chance, above[0], trials - above[0] + 1) <= 0.025


def test_wilsons_lower_end_would_not_do():
    first = next(n for n in range(101) if wilson(n, 100)[0] > 0.01)
    assert beta.cdf(0.01, first, 101 - first) > 0.05


# ---- the intervals of shared combinations, where the answer is known


@pytest.mark.parametrize(("right", "prompts"), [(60, 70), (1, 2), (12, 12), (0, 12), (400, 1000)])
def test_where_all_prompts_differ_it_is_the_interval_of_a_plain_share(right, prompts):
    low, high = beta.ppf([0.025, 0.975], right + 1, prompts - right + 1)  # Bayes 1763
    wanted = (0.0 if right == 0 else low, 1.0 if right == prompts else high)
    found = interval(hits((right, prompts)), groups(*[1] * prompts))
    assert found == pytest.approx(wanted, abs=2e-3)


def test_fifteen_wordings_of_six_combinations_are_not_ninety_prompts():
    """Right of 15 each: one combination fails, the others hardly ever."""
    counts = (6, 14, 15, 15, 15, 15)
    low, high = interval(hits(*((right, 15) for right in counts)), groups(*[15] * 6))
    as_ninety = wilson(sum(counts), 90)
    assert as_ninety == pytest.approx((0.81, 0.94), abs=0.01)
    # resampled by combination: the percentiles of all 6^6 choices
    means = np.array(counts) / 15
    every = np.sort(np.stack(np.meshgrid(*[means] * 6)).mean(0).ravel())
    assert (every[int(0.025 * 6**6)], every[int(0.975 * 6**6)]) == pytest.approx(
        (0.69, 1.0), abs=0.02
    )
    assert low < 0.7
    assert high > 0.97


def test_equal_combinations_are_worth_more_than_unequal_ones():
    even = interval(hits(*[(6, 8)] * 12), groups(*[8] * 12))
    uneven = interval(hits(*[(8, 8)] * 9 + [(0, 8)] * 3), groups(*[8] * 12))
    assert uneven[1] - uneven[0] > 1.5 * (even[1] - even[0])


@pytest.mark.parametrize("right", [0, 8])
def test_one_combination_says_little_of_others_and_nothing_says_nothing(right):
    low, high = interval(hits((right, 8)), groups(8))
    assert high - low > 0.5
    assert low <= right / 8 <= high
    assert interval([], []) == (0.0, 1.0)


@pytest.mark.parametrize("names", [groups(5, 5), [frozenset([n, n + 1]) for n in range(10)]])
def test_an_interval_is_of_plain_numbers(names):
    assert {type(bound) for bound in interval(hits((7, 10)), names)} == {float}
    assert type(standard_error(np.array([1.0, 0] * 5), names)) is float


def test_an_interval_holds_what_was_found():
    rng = np.random.default_rng(0)
    for _ in range(50):
        sizes = rng.integers(1, 30, rng.integers(1, 9))
        found = rng.random(sizes.sum()) < rng.random()
        low, high = interval(found.tolist(), groups(*sizes))
        assert 0 <= low <= found.mean() <= high <= 1


def test_the_order_of_prompts_changes_nothing():
    rng, found, names = np.random.default_rng(0), hits((1, 4), (4, 4), (2, 3)), groups(4, 4, 3)
    order = rng.permutation(len(found))
    shuffled = interval([found[i] for i in order], [names[i] for i in order])
    assert shuffled == pytest.approx(interval(found, names), abs=1e-12)


def test_pairs_that_share_nothing_are_prompts_of_their_own():
    """Then Wilson's interval is left, with Student's t of the number of combinations less one."""
    names = [frozenset([2 * n, 2 * n + 1]) for n in range(50)]
    share = 40 / 50
    found = interval(hits((40, 50)), names)
    t_99, worth = 1.98422, 50 * 99 / 100  # 100 combinations: one degree of freedom is the mean's
    assert found == pytest.approx(wilson(share * worth, worth, t_99), abs=1e-4)


def test_pairs_of_a_single_prompt_or_with_all_right_have_an_interval():
    assert interval([True], [frozenset("ab")])[0] < 0.2
    low, high = interval([True] * 24, [frozenset([n % 12, (n + 1) % 12]) for n in range(24)])
    assert (0.8 < low < 0.9, high) == (True, 1.0)


# ---- standard errors


def test_where_all_prompts_differ_it_is_the_plain_standard_error():
    values = [1.0, 0, 0, -1, 1, 1]
    plain = np.std(values, ddof=1) / math.sqrt(6)
    assert standard_error(values, groups(*[1] * 6)) == pytest.approx(plain)


def test_what_stays_as_it_was_adds_no_noise():
    before, after = hits((70, 100)), hits((90, 100))
    error = standard_error(np.subtract(after, before, dtype=float), groups(*[1] * 100))
    assert error == pytest.approx(math.sqrt(0.2 * 0.8 / 99))
    assert error < 0.75 * math.sqrt(0.7 * 0.3 / 100 + 0.9 * 0.1 / 100)


def test_prompts_of_one_combination_add_up_before_they_are_squared():
    values = [1.0, 1, 1, 0, 0, 0, 0, 0]
    # by hand: the mean is 3/8; errors 5/8 three times and -3/8; -3/8 four times
    sums = [3 * 5 / 8 - 3 / 8, 4 * -3 / 8]
    wanted = math.sqrt(2 / 1 * (sums[0] ** 2 + sums[1] ** 2)) / 8
    assert standard_error(values, groups(4, 4)) == pytest.approx(wanted)


def test_pairs_meet_wherever_they_name_something_in_common():
    values, names = [1.0, 0, 1, 0], [frozenset(pair) for pair in ("ab", "bc", "cd", "ef")]
    # by hand: errors +-1/2; the first two and the second and third meet: 4/4 - 2 * 2/4 = 0, which
    # is less than without company: then each prompt by itself, 6 combinations
    assert standard_error(values, names) == pytest.approx(math.sqrt(6 / 5 * 1) / 4)
    values = [1.0, 1, 0, 0]  # the first two agree, the next two do not meet
    names = [frozenset(pair) for pair in ("ab", "bc", "xy", "zw")]
    assert standard_error(values, names) == pytest.approx(math.sqrt(7 / 6 * (1 + 2 / 4)) / 4)


def test_more_prompts_than_are_compared_at_once_are_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    names, values = [frozenset(rng.permutation(9)[:2]) for _ in range(50)], rng.random(50)
    whole = standard_error(values, names)
    monkeypatch.setattr("stages.evaluate.intervals.BATCH", 7)
    assert standard_error(values, names) == pytest.approx(whole)


def test_of_one_combination_no_standard_error_is_known():
    assert standard_error([1.0, 0, 1], groups(3)) is None
    assert standard_error([1.0], [frozenset("a")]) is None


# ---- coverage: an interval of 95 % holds the truth in 90 to 99 of 100 worlds


def coverage(simulate, truth, worlds):
    found = [interval(*simulate()) for _ in range(worlds)]
    return np.mean([low <= truth <= high for low, high in found])


@pytest.mark.parametrize("alike", [0.0, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("share", [0.6, 0.9])
@pytest.mark.parametrize(("combinations", "prompts"), [(6, 15), (12, 8), (15, 6)])
def test_intervals_of_combinations_are_honest(combinations, prompts, share, alike):
    """`alike` is the intraclass correlation; combinations have their shares from a beta."""
    rng = np.random.default_rng([combinations, round(100 * share), round(100 * alike)])
    names, size = groups(*[prompts] * combinations), 1 / alike - 1 if alike else None

    def simulate():
        own = rng.beta(share * size, (1 - share) * size, combinations) if size else share
        return (rng.random((prompts, combinations)) < own).T.ravel().tolist(), names

    assert coverage(simulate, share, 150) >= 0.90


@pytest.mark.parametrize("spread", [0.0, 1.0, 2.0])
def test_intervals_of_pairs_are_honest(spread):
    """Each of 24 combinations makes its prompts easier or harder, in every company."""
    rng = np.random.default_rng([24, int(spread)])
    truth = expit(1.5 + math.sqrt(2) * spread * rng.standard_normal(200_000)).mean()

    def simulate():
        ease = spread * rng.standard_normal(24)
        pairs = np.concatenate([rng.permutation(24).reshape(12, 2) for _ in range(8)])
        right = rng.random(96) < expit(1.5 + ease[pairs].sum(axis=1))
        return right.tolist(), [frozenset(pair) for pair in pairs.tolist()]

    assert coverage(simulate, truth, 150) >= 0.90


@pytest.mark.parametrize("alike", [0.1, 0.5])
def test_no_gain_is_taken_for_one_hardly_ever(alike):
    """CLIP helps some combinations and harms others, by nothing on average."""
    rng, names, taken = np.random.default_rng(5), groups(*[8] * 12), 0
    for _ in range(400):
        own = rng.beta(0.6 * (1 / alike - 1), 0.4 * (1 / alike - 1), 12)
        after = np.clip(own + rng.permutation(np.linspace(-0.2, 0.2, 12)), 0, 1)
        after += own.mean() - after.mean()
        change = (rng.random((8, 12)) < after).astype(float) - (rng.random((8, 12)) < own)
        change = change.T.ravel()
        taken += change.mean() > 3 * standard_error(change, names)
    assert taken <= 4
