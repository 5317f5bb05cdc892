"""The CLIP score: its definition in a loop, and an error that holds."""

import math

import numpy as np
import pytest

from schemas.errors import UserError
from stages.metrics.clip_score import clip_score

DRAWS = 1_000


def test_it_is_the_mean_of_100_times_each_pairs_cosine_and_of_0_where_that_is_below():
    pictures = np.array([[1, 0], [3, 4], [1, 1], [-2, 0]], np.float32)
    captions = np.array([[5, 0], [0, 2], [1, 0], [1, 0]], np.float32)
    scores = [100, 80, 100 / math.sqrt(2), 0]
    mean = sum(scores) / 4
    error = math.sqrt(sum((s - mean) ** 2 for s in scores) / 3) / 2
    assert clip_score(pictures, captions) == (pytest.approx(mean), pytest.approx(error))


def test_its_error_covers_the_true_mean_in_95_of_100_draws():
    """Pictures at angles that are uniform between 0 and 90 degrees: their mean cosine is 2 / pi."""
    captions, covered = np.tile([1.0, 0.0], (60, 1)), 0
    for draw in range(DRAWS):
        angles = np.random.default_rng(draw).uniform(0, math.pi / 2, 60)
        mean, error = clip_score(np.stack([np.cos(angles), np.sin(angles)], axis=1), captions)
        covered += abs(mean - 200 / math.pi) < 2.0 * error  # Student's t of 59
    assert 0.93 * DRAWS < covered < 0.97 * DRAWS


def test_what_are_no_pairs_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="found 3 pictures and 2 captions"):
        clip_score(np.ones((3, 4)), np.ones((2, 4)))
    with pytest.raises(UserError, match="those of picture 1 are all 0"):
        clip_score(np.array([[1.0, 2.0], [0.0, 0.0]]), np.ones((2, 2)))
