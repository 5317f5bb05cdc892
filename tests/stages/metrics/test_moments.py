"""Means and covariances of a stream are those of all its features at once."""

import numpy as np
import pytest

from schemas.errors import UserError
from stages.metrics import feature_arrays
from stages.metrics.moments import Moments


@pytest.fixture
def features():
    """Far from 0, so that sums of squares would lose all digits of a variance in float32."""
    rng = np.random.default_rng(0)
    return (1_000 + rng.standard_normal((2_500, 9)) @ rng.random((9, 9))).astype(np.float32)


def same(moments, features):
    values = features.astype(np.float64)
    assert moments.count == len(features)
    assert moments.mean == pytest.approx(values.mean(axis=0), rel=1e-13)
    assert moments.covariance == pytest.approx(np.cov(values.T), rel=1e-10)


@pytest.mark.parametrize("size", [1, 7, 1_024, 2_500])
def test_streamed_they_are_those_of_all_at_once(features, size):
    moments = Moments()
    for start in range(0, len(features), size):
        moments.add(features[start : start + size])
    same(moments, features)


def test_parts_that_were_counted_apart_merge_in_any_order(features):
    parts = [Moments.of(features[a:b]) for a, b in ((0, 3), (3, 1_500), (1_500, 2_500))]
    merged = Moments()
    for part in (parts[2], Moments(), parts[0], parts[1]):
        merged.merge(part)
    same(merged, features)
    same(parts[0], features[:3])  # a part is left as it was


def test_without_a_part_they_are_those_of_the_rest(features):
    for first in (1, 1_250, 2_400):
        part = Moments.of(features[:first])
        same(Moments.of(features).without(part), features[first:])


def test_more_features_than_pictures_and_half_precision_are_no_trouble():
    features = np.random.default_rng(1).random((5, 40)).astype(np.float16)
    same(Moments.of(features), features)


def test_features_are_not_changed(features):
    before = features.copy()
    Moments.of(features)
    assert np.array_equal(before, features)


def test_what_cannot_be_counted_is_refused_in_a_sentence(features):
    features[1_500, 2] = np.nan
    with pytest.raises(UserError, match="those of picture 1500 are not: compute them again"):
        Moments.of(features)
    with pytest.raises(UserError, match=r"a table .* found the shape \(9,\)"):
        Moments.of(features[0])
    with pytest.raises(UserError, match=r"a table .* found the shape \(9, 0\)"):
        Moments.of(np.zeros((9, 0)))
    with pytest.raises(UserError, match="of one network; one has 3 for each picture, the other 2"):
        Moments.of(np.zeros((4, 3))).merge(Moments.of(np.zeros((4, 2))))
    with pytest.raises(UserError, match="at least 2 pictures, found 1"):
        _ = Moments.of(features[:1]).covariance


def test_distances_are_the_differences_squared_and_0_between_equal_pictures():
    rng = np.random.default_rng(2)
    x, y = 50 + rng.random((6, 700)), 50 + rng.random((5, 700))
    y[3] = x[4]
    by_hand = [[((a - b) ** 2).sum() for b in y] for a in x]
    found = feature_arrays.squared_distances(x, y)
    assert found == pytest.approx(np.array(by_hand), rel=1e-9)
    assert found[4, 3] == 0
