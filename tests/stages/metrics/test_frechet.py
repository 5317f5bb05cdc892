"""The Frechet distance: closed forms, another package, its bias, its interval, its threads."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from schemas.errors import UserError
from stages.metrics.frechet import Yardstick, frechet_at_infinity, frechet_distance
from stages.metrics.frechet_interval import contributions, frechet_interval
from stages.metrics.moments import Moments
from tests.stages.metrics.known import TORCH_FIDELITY, exact_sample, random_covariance, two_sets

DRAWS = 1_000


def population(mean, covariance):
    """Return the moments of infinitely many pictures, as far as the distance can tell."""
    return Moments(2, np.asarray(mean, float), np.asarray(covariance, float))


def of_normals(mean, covariance, other_mean, other_covariance):
    """The distance of two distributions that are normal, or taken as such."""
    return frechet_distance(population(mean, covariance), population(other_mean, other_covariance))


def test_of_two_normals_on_a_line_it_is_the_difference_of_means_and_of_deviations_squared():
    rng = np.random.default_rng(0)
    a = exact_sample(rng, [3.0], [[4.0]], 50)
    b = exact_sample(rng, [1.0], [[25.0]], 80)
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(
        (3 - 1) ** 2 + (2 - 5) ** 2
    )


def test_where_axes_agree_it_is_the_sum_over_axes_however_they_are_turned():
    rng = np.random.default_rng(1)
    a, b = rng.random(6), rng.random(6)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    found = of_normals(np.zeros(6), turn * a @ turn.T, np.ones(6), turn * b @ turn.T)
    assert found == pytest.approx(6 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum())


def test_where_axes_differ_it_is_the_closed_form_in_two_dimensions():
    rng = np.random.default_rng(2)
    a, b = random_covariance(rng, 2), random_covariance(rng, 2)
    shared = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    expected = np.trace(a) + np.trace(b) - 2 * shared
    assert of_normals([0, 0], a, [0, 0], b) == pytest.approx(expected)
    assert of_normals([0, 0], b, [0, 0], a) == pytest.approx(expected)


def test_a_set_is_at_0_from_itself_also_with_fewer_pictures_than_features():
    features = np.random.default_rng(3).random((20, 64))
    moments, moved = Moments.of(features), Moments.of(features + 0.5)
    assert frechet_distance(moments, moments) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(moments, moved) == pytest.approx(64 * 0.5**2)


def test_it_is_torchmetrics_and_torch_fidelitys_to_the_fourth_digit():
    features = torch.nn.Identity()
    features.num_features = two_sets()[0].shape[1]
    theirs = FrechetInceptionDistance(feature=features).set_dtype(torch.float64)
    for real, each in zip((True, False), two_sets(), strict=True):
        theirs.update(torch.from_numpy(each).double(), real=real)
    ours = frechet_distance(*map(Moments.of, two_sets()))
    assert ours == pytest.approx(theirs.compute().item(), rel=1e-6)
    assert ours == pytest.approx(TORCH_FIDELITY["frechet"], rel=1e-6)


def test_features_of_two_networks_are_refused():
    with pytest.raises(UserError, match="one has 3 for each picture, the other 4"):
        frechet_distance(population(np.zeros(3), np.eye(3)), population(np.zeros(4), np.eye(4)))


def test_few_pictures_are_too_far_and_the_extrapolation_takes_that_off():
    rng = np.random.default_rng(4)
    reference, covariance = population(np.zeros(12), np.eye(12)), random_covariance(rng, 12)
    true = of_normals(np.zeros(12), np.eye(12), np.zeros(12), covariance)
    biased, without = [], []
    for draw in range(300):
        drawn = rng.multivariate_normal(np.zeros(12), covariance, 300)
        biased.append(frechet_distance(reference, Moments.of(drawn)))
        without.append(frechet_at_infinity(reference, drawn, seed=draw))
    bias, left = np.mean(biased) - true, np.mean(without) - true
    assert bias > 0.1
    assert abs(left) < bias / 3  # what 300 draws can tell


def test_a_seed_gives_the_same_extrapolation_and_interval_and_another_one_others():
    real, drawn = two_sets()
    reference = Moments.of(real)
    for estimate in (frechet_at_infinity, frechet_interval):
        assert estimate(reference, drawn, 1) == estimate(reference, drawn, 1)
        assert estimate(reference, drawn, 1) != estimate(reference, drawn, 2)


def test_a_pictures_contribution_is_the_slope_of_the_distance_with_its_weight():
    rng = np.random.default_rng(5)
    drawn = rng.standard_normal((60, 4)) @ rng.random((4, 4))
    yardstick = Yardstick.of(population(np.ones(4), random_covariance(rng, 4)))
    moments = Moments.of(drawn)
    found = contributions(yardstick, moments, drawn)

    def of_weighted(weights):
        mean = np.average(drawn, axis=0, weights=weights)
        scatter = (weights[:, None] * (drawn - mean)).T @ (drawn - mean) / weights.sum()
        return yardstick.distance(Moments(2, mean, scatter * 60 / 59))

    for picture in (0, 17, 59):
        more = np.full(60, 1 / 60)
        more *= 1 - 1e-6
        more[picture] += 1e-6
        slope = (of_weighted(more) - of_weighted(np.full(60, 1 / 60))) / 1e-6
        assert found[picture] == pytest.approx(slope, rel=0.02, abs=0.01)
    assert found.mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("apart", [1.0, 0.0])
def test_the_interval_covers_the_true_distance_in_95_of_100_draws(apart):
    """At 0 it is too wide, and so covers more."""
    mean, covariance = np.full(3, apart / 2), np.diag([1, 1 + apart, 1 + 2 * apart])
    reference = population(np.zeros(3), np.eye(3))
    true = of_normals(np.zeros(3), np.eye(3), mean, covariance)
    covered = 0
    for draw in range(DRAWS):
        drawn = np.random.default_rng(draw).multivariate_normal(mean, covariance, 200)
        estimate = frechet_interval(reference, drawn, seed=draw, resamples=250)
        assert estimate.at_count > estimate.without_bias
        covered += estimate.low <= true <= estimate.high
    assert covered > 0.93 * DRAWS
    assert apart == 0 or covered < 0.97 * DRAWS


def test_other_numbers_of_threads_change_no_digit_that_is_shown():
    program = (
        "import numpy as np; from stages.metrics.moments import Moments;"
        "from stages.metrics.frechet import frechet_distance;"
        "x, y = np.random.default_rng(0).random((2, 400, 150));"
        "print(repr(frechet_distance(Moments.of(x), Moments.of(y))))"
    )
    found = {}
    for threads in ("1", "2", "3"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, check=True
        )
        found[threads] = float(done.stdout)
    assert list(found.values()) == pytest.approx([found["1"]] * 3, rel=1e-9)
