"""Copies that were planted are found, and pictures that cannot be copies are not accused."""

import numpy as np
import pytest

from schemas.errors import UserError
from stages import shapes
from stages.metrics.copies import (
    Copying,
    calibrate,
    nearest,
    nearest_either_way,
    shares_below,
    thresholds,
)
from stages.metrics.feature_arrays import of_length_one
from stages.metrics.planted import PLANTED
from tests.stages.photographs import photograph

SIDE = 64


def looks(pictures):
    """Features of pictures: the edges of small grey ones, whatever their contrast."""
    small = np.array([p.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3, 4)) for p in pictures])
    edges = [np.diff(small, axis=axis).reshape(len(small), -1) for axis in (1, 2)]
    return of_length_one(np.concatenate(edges, axis=1))


def either_way(pictures, training):
    pictures = list(pictures)
    mirrored = looks(map(PLANTED["flipped"], pictures))
    return nearest_either_way(looks(pictures), mirrored, looks(training))


def photographs(first, count):
    return [photograph(seed, SIDE, SIDE) for seed in range(first, first + count)]


def test_the_nearest_is_that_of_a_loop_and_the_first_of_equals():
    rng = np.random.default_rng(0)
    features, training = rng.random((7, 3)), rng.random((2_500, 3))
    training[2_400] = training[5] = features[2]
    found = nearest(features, training)
    for place, one in enumerate(features):
        distances = np.sqrt(((training - one) ** 2).sum(axis=1))
        assert found.place[place] == distances.argmin()
        assert found.distance[place] == pytest.approx(distances.min(), abs=1e-12)
    assert (found.place[2], found.distance[2]) == (5, 0)


def test_a_mirrored_copy_is_near_in_the_mirror_alone():
    training = photographs(0, 20)
    copies = [PLANTED["flipped"](picture) for picture in training[5:8]]
    found = either_way([*copies, training[3]], training)
    assert found.place.tolist() == [5, 6, 7, 3]
    assert found.distance == pytest.approx(np.zeros(4), abs=1e-6)
    assert nearest(looks(copies), looks(training)).distance.min() > 0.1


def test_shares_are_below_what_held_out_pictures_and_planted_copies_have():
    held_out = np.arange(1.0, 102.0)  # its 1st percentile is 2
    planted = [np.full(5, 0.1), np.linspace(0, 100, 101)]  # of the farther kind, the 99th is 99
    below = thresholds(held_out, planted)
    assert shares_below(np.array([0.5, 1.0, 1.5, 2.0, 30.0, 99.0, 99.5, 100.0]), below) == {
        "closer_than_any": 1 / 8,
        "closer_than_1st_percentile": 3 / 8,
        "as_close_as_planted": 5 / 8,
    }


def test_where_planted_copies_and_held_out_pictures_lie_apart_the_threshold_is_half_way():
    held_out = np.arange(1.0, 102.0)  # its 1st percentile is 2
    assert thresholds(held_out, [np.full(5, 1.2)])["as_close_as_planted"] == pytest.approx(1.6)
    assert thresholds(held_out, [np.full(5, 2.5)])["as_close_as_planted"] == pytest.approx(2.5)


def test_every_planted_copy_is_found_and_hardly_a_picture_that_is_none_is_accused():
    training, held_out = photographs(0, 300), photographs(1_000, 400)
    planted = {
        kind: either_way(map(plant, training[:50]), training).distance
        for kind, plant in PLANTED.items()
    }
    found, false_alarms = calibrate(planted, either_way(held_out, training).distance, seed=0)
    assert list(found) == ["exact", "flipped", "brightened", "reencoded"]
    for kind, shares in found.items():
        assert shares["closer_than_any"] == 1, kind
        assert shares["closer_than_1st_percentile"] == 1, kind
    assert false_alarms["closer_than_any"] < 0.01
    assert false_alarms["closer_than_1st_percentile"] < 0.03  # 4 of 400 are expected
    assert false_alarms["as_close_as_planted"] == 0


def test_a_calibration_tries_its_thresholds_on_the_other_half():
    """Of copies at 0 to 99 the 99th percentile is high, and of held-out ones half are below 50."""
    copies, held_out = np.arange(100.0), np.arange(2_000.0) / 20
    found, false_alarms = calibrate({"any": copies}, held_out, seed=0)
    assert 0.9 < found["any"]["as_close_as_planted"] <= 1
    assert false_alarms["as_close_as_planted"] == pytest.approx(0.97, abs=0.03)
    assert false_alarms["closer_than_1st_percentile"] == pytest.approx(0.01, abs=0.01)
    assert found["any"]["closer_than_1st_percentile"] < 0.05


def test_a_drawer_that_copies_is_told_from_one_that_does_not():
    training, held_out, honest = (
        photographs(first, count) for first, count in ((0, 200), (500, 200), (900, 40))
    )
    copies = [PLANTED["reencoded"](picture) for picture in training[7:17]]
    drawn = nearest(looks([*honest, *copies]), looks(training))
    below = thresholds(nearest(looks(held_out), looks(training)).distance, [drawn.distance[40:]])
    found = Copying(drawn, below)
    assert found.shares["closer_than_any"] == pytest.approx(10 / 50, abs=0.02)
    assert found.shares["as_close_as_planted"] == 10 / 50
    assert sorted(found.most_suspect(10)) == list(range(40, 50))
    assert sorted(found.drawn.place[40:]) == list(range(7, 17))


def test_held_out_pictures_that_are_training_pictures_leave_nobody_to_accuse():
    features = np.random.default_rng(1).random((20, 3))
    same = nearest(features, features)
    found = Copying(same, thresholds(same.distance, [np.ones(4)]))
    assert found.shares == {
        "closer_than_any": 0,
        "closer_than_1st_percentile": 0,
        "as_close_as_planted": 1,
    }


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_copy_shows_what_the_picture_shows(kind):
    scene = shapes.scene(0, 3)
    copy = PLANTED[kind](shapes.draw(scene, 64))
    assert copy.shape == (64, 64, 3)
    assert copy.dtype == np.uint8
    if kind != "brightened":
        assert sorted(shapes.judge(copy)) == sorted(figure.kind for figure in scene.figures)


def test_features_of_two_networks_are_refused():
    with pytest.raises(UserError, match="one has 3 for each picture, the other 4"):
        nearest(np.ones((2, 3)), np.ones((5, 4)))
