"""Precision, recall, density and coverage: their definitions in loops, their ends, ties."""

import numpy as np
import pytest

from schemas.errors import UserError
from stages.metrics.neighbours import density_coverage, precision_recall, squared_radii
from tests.stages.metrics.known import PRDC, TORCH_FIDELITY, two_sets


def distance(a, b):
    return float(np.sqrt(((a - b) ** 2).sum()))


def radius(features, place, k):
    others = [distance(features[place], f) for i, f in enumerate(features) if i != place]
    return sorted(others)[k - 1]


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 3)), 0.6 * rng.standard_normal((50, 3)) + 0.5


@pytest.mark.parametrize("k", [1, 3, 5])
def test_they_are_their_definitions_in_loops(sets, k):
    real, drawn = sets
    inside_real = [
        [distance(r, d) <= radius(real, i, k) for d in drawn] for i, r in enumerate(real)
    ]
    inside_drawn = [
        [distance(r, d) <= radius(drawn, j, k) for j, d in enumerate(drawn)] for r in real
    ]
    precision, recall = np.any(inside_real, axis=0).mean(), np.any(inside_drawn, axis=1).mean()
    density, coverage = np.sum(inside_real) / (k * 50), np.any(inside_real, axis=1).mean()
    assert precision_recall(real, drawn, k) == pytest.approx((precision, recall))
    assert density_coverage(real, drawn, k) == pytest.approx((density, coverage))
    assert 0.2 < min(precision, recall, coverage) < max(precision, recall, coverage) <= 1


@pytest.mark.parametrize("k", PRDC)
def test_they_are_torch_fidelitys_and_prdcs(k):
    precision, recall = precision_recall(*two_sets(), k)
    density, coverage = density_coverage(*two_sets(), k)
    found = {"precision": precision, "recall": recall, "density": density, "coverage": coverage}
    assert found == pytest.approx(PRDC[k], rel=1e-12)
    assert k != 3 or (precision, recall) == TORCH_FIDELITY["precision_recall_3"]


def test_blocks_of_pictures_give_the_radii_of_one_table_of_all():
    features = np.random.default_rng(1).random((2_100, 2))
    all_squared = ((features[:, None] - features) ** 2).sum(axis=-1)
    expected = np.sort(all_squared, axis=1)[:, 4]  # the first one is the picture itself
    assert squared_radii(features, 4) == pytest.approx(expected, rel=1e-6)


def test_draws_of_one_distribution_have_a_density_near_1_and_nearly_all_are_covered():
    x, y = np.random.default_rng(2).standard_normal((2, 1_500, 4))
    density, coverage = density_coverage(x, y, k=5)
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.02)  # Naeem et al., lemma 2


def test_far_away_nothing_is_covered_and_a_copied_set_is_wholly():
    x = np.random.default_rng(3).random((30, 4))
    assert precision_recall(x, x + 10, k=3) == (0, 0)
    assert density_coverage(x, x + 10, k=5) == (0, 0)
    assert precision_recall(x, x, k=3) == (1, 1)
    assert density_coverage(x, x, k=5)[1] == 1


def test_pictures_that_recur_more_than_k_times_still_cover_each_other():
    """Their radius is 0, and the balls are closed; rounding must not decide."""
    x = np.repeat(100 + np.random.default_rng(4).random((10, 600)), 5, axis=0)
    assert precision_recall(x, x[::-1].copy(), k=3) == (1, 1)
    assert density_coverage(x, x[::-1].copy(), k=3) == (pytest.approx(5 / 3), 1)


def test_a_crowd_in_one_place_is_precise_and_dense_but_recalls_little():
    rng = np.random.default_rng(5)
    real = rng.standard_normal((300, 3))
    crowd = 0.05 * rng.standard_normal((300, 3))
    precision, recall = precision_recall(real, crowd, k=3)
    density, coverage = density_coverage(real, crowd, k=5)
    assert precision == 1
    assert density > 0.8
    assert max(recall, coverage) < 0.2


def test_a_neighbourhood_needs_more_than_k_pictures():
    x = np.zeros((3, 2))
    with pytest.raises(UserError, match="at least 4 rows"):
        precision_recall(x, x, k=3)
    with pytest.raises(UserError, match="k of at least 1, found 0"):
        density_coverage(x, x, k=0)
