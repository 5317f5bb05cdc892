"""KID's interval: its parts by their definitions, and that it covers the truth, also near 0."""

import numpy as np
import pytest

from schemas.errors import UserError
from stages.metrics.kernel import kernel_distance_of_all, polynomial
from stages.metrics.kernel_interval import Z_95, kernel_interval, score_interval

DRAWS, PICTURES = 1_000, 100


def population(width, tilt):
    """Return 300 possible pictures, and how often each set has each: alike where `tilt` is 0."""
    atoms = np.random.default_rng(width).random((300, width))
    odds = np.exp(tilt * (atoms - 0.5).sum(axis=1) / np.sqrt(width / 12))
    return atoms, np.full(300, 1 / 300), odds / odds.sum()


def true_distance(atoms, p, q):
    return float((p - q) @ polynomial(atoms, atoms) @ (p - q))


@pytest.mark.parametrize(
    ("width", "tilt", "most"),
    [(1, 0.3, 0.97), (1, 0.6, 0.97), (1, 1.2, 0.97), (16, 0.6, 0.97), (16, 0.3, 0.99)],
)
def test_the_interval_covers_the_true_distance_in_95_of_100_draws(width, tilt, most):
    """Also at one and two standard deviations from 0, where 1.96 errors cover 80 to 93."""
    atoms, p, q = population(width, tilt)
    true, covered = true_distance(atoms, p, q), 0
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        x, y = (atoms[rng.choice(300, PICTURES, p=one)] for one in (p, q))
        _, low, high = kernel_interval(x, y, seed=0)
        covered += low <= true <= high
    assert 0.93 * DRAWS < covered < most * DRAWS


def test_sets_that_are_alike_are_at_0_as_often_as_it_says():
    """No end is below 0, so at 0 itself only one side can err, in 2.5 of 100 draws."""
    atoms, p, _ = population(16, 0.0)
    touched, rng = 0, np.random.default_rng(0)
    for _ in range(DRAWS):
        x, y = (atoms[rng.choice(300, PICTURES, p=p)] for _ in range(2))
        touched += kernel_interval(x, y, seed=0).low == 0
    assert 0.95 * DRAWS < touched < 0.99 * DRAWS


def test_the_value_is_that_of_all_pairs():
    x, y = np.random.default_rng(1).random((2, 40, 3))
    assert kernel_interval(x, y[:30], seed=3).value == pytest.approx(
        kernel_distance_of_all(x, y[:30])[0], rel=1e-9
    )


def test_far_from_0_it_is_so_many_standard_errors_on_either_side():
    x, y = (np.random.default_rng(2).random((400, 5)) for _ in range(2))
    y = y + 3.0
    value, error = kernel_distance_of_all(x, y)
    _, low, high = kernel_interval(x, y, seed=0)
    assert high - low == pytest.approx(2 * Z_95 * error, rel=0.01)
    assert (high + low) / 2 == pytest.approx(value, rel=0.01)


def test_subsets_share_no_picture_and_give_the_mean_with_its_own_interval():
    atoms, p, q = population(16, 0.6)
    true, covered = true_distance(atoms, p, q), 0
    for draw in range(500):
        rng = np.random.default_rng(draw)
        x, y = (atoms[rng.choice(300, 150, p=one)] for one in (p, q))
        _, low, high = kernel_interval(x, y, seed=draw, subset=50)
        covered += low <= true <= high
    assert 0.92 * 500 < covered < 0.98 * 500
    rng = np.random.default_rng(5)
    parts = [np.array_split(rng.permutation(150), 3) for _ in range(2)]
    values = [kernel_distance_of_all(x[a], y[b])[0] for a, b in zip(*parts, strict=True)]
    assert kernel_interval(x, y, seed=5, subset=50).value == pytest.approx(np.mean(values))


def test_the_ends_are_where_the_value_begins_to_surprise():
    """By their definition: at each end, the value is one of the two quantiles."""
    slope, at_0 = 0.2, 1.4
    for value in (3.0, 10.0):
        low, high = score_interval(value, slope, at_0 + 4 * slope * value, at_0)
        for end, sign in ((low, 1), (high, -1)):
            deviation = np.sqrt(4 * end * slope + at_0)
            quantile = end + sign * Z_95 * deviation + (Z_95**2 - 1) * slope
            assert value == pytest.approx(quantile)
    assert score_interval(2.5, slope, 2.0, at_0)[0] == 0  # no more than comes at 0
    assert score_interval(-9.0, slope, 0.0, at_0) == (0, 0)  # less than any distance explains


def test_too_few_pictures_are_refused():
    with pytest.raises(UserError, match="at least 4 rows"):
        kernel_interval(np.ones((3, 2)), np.ones((9, 2)), seed=0)


def test_equal_pictures_are_at_0():
    assert kernel_interval(np.ones((5, 2)), np.ones((6, 2)), seed=0) == (0, 0, 0)


def test_pictures_that_are_all_alike_have_an_interval_whatever_rounding_says():
    alike, others = np.full((50, 8), 6e4), np.random.default_rng(5).random((50, 8))
    for x, y in ((alike, others), (others, alike), (alike, alike)):
        value, low, high = kernel_interval(x, y, seed=0)
        assert low <= max(0, value) <= high
