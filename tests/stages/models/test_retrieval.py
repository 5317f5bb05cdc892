import numpy as np
import pytest

from stages.models.retrieval import r_precision


def test_a_picture_chooses_among_a_hundred_captions_that_read_differently():
    captions = [f"caption {n // 2}" for n in range(300)]  # every caption twice
    scores = np.random.default_rng(0).random((300, 300))
    scores[:, 0] += 5  # one caption beats all others but is only now and then among the 100
    for n in range(200):
        scores[n, n] = 9
    twins = np.arange(300) ^ 1
    scores[np.arange(300), twins] = 10  # the same words again are no mistake
    found, chance = r_precision(scores, captions)
    assert chance == pytest.approx(1 / 100)
    assert found[:200].all()
    assert found[200:].sum() < 10


def test_the_choice_is_the_same_every_time_and_another_for_each_picture():
    captions, scores = [str(n) for n in range(300)], np.zeros((300, 300))
    scores[:, 7] = -1  # beats nobody
    np.fill_diagonal(scores, 1)
    scores[:, 9] = 2  # beats all who meet it
    one, again = (r_precision(scores, captions).found for _ in range(2))
    assert one.tolist() == again.tolist()
    met = 299 - one[np.arange(300) != 9].sum()
    assert 60 < met < 140  # 99 of 299 expected


def test_a_constant_score_finds_nothing():
    found, chance = r_precision(np.ones((4, 4)), list("abcd"))
    assert not found.any()
    assert chance == 0.25
