"""KID and CMMD: the definitions in loops, closed forms, another package, errors that hold."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import t
from torchmetrics.image.kid import poly_mmd

from schemas.errors import UserError
from stages.metrics.kernel import cmmd, kernel_distance, kernel_distance_of_all
from tests.stages.metrics.known import TORCH_FIDELITY, two_sets

DRAWS = 1_000


def by_hand(x, y, kernel, *, biased):
    """The squared maximum mean discrepancy, a pair of pictures at a time."""

    def likeness(a, b, *, own):
        pairs = [
            (i, j) for i in range(len(a)) for j in range(len(b)) if biased or not own or i != j
        ]
        return np.mean([kernel(a[i], b[j]) for i, j in pairs])

    return likeness(x, x, own=True) + likeness(y, y, own=True) - 2 * likeness(x, y, own=False)


@pytest.fixture
def few():
    rng = np.random.default_rng(0)
    return rng.random((9, 5)), rng.random((12, 5)) + 0.3


def test_kid_is_its_definition_in_loops(few):
    expected = by_hand(*few, lambda a, b: (a @ b / 5 + 1) ** 3, biased=False)
    assert kernel_distance_of_all(*few)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_cmmd_is_its_definition_in_loops(few, estimator):
    x, y = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in few)
    expected = 1_000 * by_hand(
        x, y, lambda a, b: math.exp(-((a - b) ** 2).sum() / 200), biased=estimator == "biased"
    )
    assert cmmd(*few, estimator)[0] == pytest.approx(expected, rel=1e-9)
    assert cmmd(7 * few[0], few[1], estimator)[0] == pytest.approx(expected, rel=1e-9)


def test_blocks_of_pictures_give_what_one_table_of_all_gives():
    rng = np.random.default_rng(1)
    x, y = rng.random((2_100, 3)), rng.random((1_100, 3)) ** 2

    def mean_likeness(a, b):
        return ((a @ b.T / 3 + 1) ** 3).sum(), ((a**2).sum(axis=1) / 3 + 1) ** 3

    (xx, x_itself), (yy, y_itself), (xy, _) = (
        mean_likeness(a, b) for a, b in ((x, x), (y, y), (x, y))
    )
    expected = (xx - x_itself.sum()) / (2_100 * 2_099) + (yy - y_itself.sum()) / (1_100 * 1_099)
    expected -= 2 * xy / (2_100 * 1_100)
    assert kernel_distance_of_all(x, y)[0] == pytest.approx(expected, rel=1e-9)


def test_kid_is_torchmetrics_and_torch_fidelitys_to_the_fourth_digit():
    theirs = poly_mmd(*(torch.from_numpy(each).double() for each in two_sets()))
    ours, _ = kernel_distance_of_all(*two_sets())
    assert ours == pytest.approx(theirs.item(), rel=1e-8)
    assert ours == pytest.approx(TORCH_FIDELITY["kid_of_all"], rel=1e-4)  # in float32


def test_subsets_have_the_value_of_all_within_their_error_and_a_seed_repeats_them():
    x, y = two_sets()
    value, error = kernel_distance(x, y, seed=3)
    assert abs(value - kernel_distance_of_all(x, y)[0]) < 3 * error
    assert kernel_distance(x, y, seed=3) == (value, error)
    assert kernel_distance(x, y, seed=4) != (value, error)


def test_every_subset_of_a_long_set_has_the_pictures_of_the_paper():
    x, y = np.random.default_rng(2).random((2, 1_200, 2))
    rng = np.random.default_rng(5)
    parts = [np.array_split(rng.permutation(1_200), 12) for _ in range(2)]
    values = [kernel_distance_of_all(x[a], y[b])[0] for a, b in zip(*parts, strict=True)]
    value, error = kernel_distance(x, y, seed=5, subset=100)
    assert value == pytest.approx(np.mean(values))
    assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(12))


def powers(high):
    """Return the first three moments about 0 of numbers that are uniform in 0 .. high."""
    return np.array([high**power / (power + 1) for power in (1, 2, 3)])


def test_errors_cover_the_closed_form_in_95_of_100_draws():
    """On a line, k(x, y) = (xy + 1)^3 adds up products of powers, so moments give the truth."""
    true = (powers(1) - powers(1.6)) ** 2 @ np.array([3, 3, 1])
    covered_by_all = covered_by_subsets = 0
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        x, y = rng.uniform(0, 1, (300, 1)), rng.uniform(0, 1.6, (300, 1))
        value, error = kernel_distance_of_all(x, y)
        covered_by_all += abs(value - true) < 1.96 * error
        value, error = kernel_distance(x, y, seed=draw)
        covered_by_subsets += abs(value - true) < t.ppf(0.975, 9) * error
    assert 0.93 * DRAWS < covered_by_all < 0.97 * DRAWS
    assert 0.93 * DRAWS < covered_by_subsets < 0.97 * DRAWS


def test_what_cannot_be_compared_is_refused_in_a_sentence(few):
    with pytest.raises(UserError, match="at least 4 rows"):
        kernel_distance(few[0][:3], few[1], seed=0)
    with pytest.raises(UserError, match="one has 5 for each picture, the other 4"):
        kernel_distance_of_all(few[0], few[1][:, :4])
    with pytest.raises(UserError, match="those of picture 8 are all 0"):
        cmmd(few[0] * (np.arange(9) < 8)[:, None], few[1])
