import numpy as np
import pytest

from stages.models.r_precision import found_by_luck, r_precision, r_precision_of_features


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


@pytest.mark.parametrize(
    ("captions", "chance"),
    [  # by hand: over pictures, the mean of 1 of those it can choose from
        ("a" * 97 + "bbc", (97 / 4 + 2 / 99 + 1 / 100) / 100),  # 3 others, 98, 99
        ("abcd", 1 / 4),
        ("aabb", 1 / 3),
        ("aaab", (3 / 2 + 1 / 4) / 4),
        ("aaaa", 1.0),  # nothing else to choose
        ("a", 1.0),
        ("abcdefghij" * 50, 1 / 100),  # 450 others, of which 99
        ("a" * 150 + "b" * 50, (150 / 51 + 50 / 100) / 200),
    ],
)
def test_chance_is_what_a_blind_choice_finds(captions, chance):
    assert r_precision(np.ones((len(captions),) * 2), list(captions)).chance == pytest.approx(
        chance
    )


def test_a_blind_choice_finds_chance():
    captions, rng = "a" * 97 + "bbc", np.random.default_rng(0)
    found = [r_precision(rng.random((100, 100)), list(captions)) for _ in range(100)]
    assert np.mean([one.found.mean() for one in found]) == pytest.approx(found[0].chance, abs=0.01)
    assert found[0].chance == pytest.approx(0.243, abs=5e-4)


def test_captions_that_differ_in_letters_case_or_blanks_are_the_same_words():
    scores = np.eye(4) + [[0, 2, 0, 0]] * 4  # the second caption beats all others
    found, chance = r_precision(scores, ["A dog", "a  dog ", "a cat", "a car"])
    assert found.tolist() == [True, True, False, False]
    assert chance == pytest.approx((1 / 3 + 1 / 3 + 1 / 4 + 1 / 4) / 4)


def test_scores_that_are_no_numbers_find_nothing():
    assert not r_precision(np.full((4, 4), np.nan), list("abcd")).found.any()


def test_scores_that_only_like_captions_find_as_much_when_pictures_swap():
    captions = list("a" * 97 + "bbc")
    likes_a = np.tile([float(caption == "a") for caption in captions], (100, 1))
    found = r_precision(likes_a, captions).found.mean()
    assert found == 0.97
    assert found_by_luck(likes_a, captions) == 0.97


def test_scores_that_know_their_pictures_find_more_than_by_luck():
    captions, rng = list("abcdefghij" * 6), np.random.default_rng(0)
    scores = np.equal.outer(captions, captions) + 2 * rng.random((60, 60))
    assert r_precision(scores, captions).found.mean() > found_by_luck(scores, captions) > 0.05


def test_products_of_features_rank_as_the_whole_matrix_does():
    rng = np.random.default_rng(0)
    captions = [f"caption {n % 200}" for n in range(300)]
    texts = rng.normal(size=(300, 8))
    texts[200:] = texts[:100]
    texts[5] = texts[6]  # other words, which the network does not tell apart: missed by both
    pictures = texts + 0.4 * rng.normal(size=texts.shape)
    found, wanted = (
        r_precision_of_features(pictures, texts, captions),
        r_precision(pictures @ texts.T, captions),
    )
    met = [n for n in range(300) if n not in (5, 6, 205, 206)]
    assert found.found[met].tolist() == wanted.found[met].tolist()
    assert 0.3 < found.found.mean() < 0.95
    assert not r_precision_of_features(texts[5:7], texts[5:7], captions[5:7]).found.any()
    assert found.chance == wanted.chance
