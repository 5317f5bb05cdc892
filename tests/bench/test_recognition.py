"""Recognition: which captions are asked for, what stands beside them, and how answers count."""

import numpy as np
import pytest

from schemas.errors import ConfigError
from tests.bench.recognition import SHOWN, askable, at_random, nearest, score, tasks
from tests.bench.task_sheets import COLUMNS, ROWS, Asked, beside, sheets

TONES = ("light", "medium", "dark")
TRAINING = [f"{who} waving: {tone} skin tone" for who in ("man", "woman") for tone in TONES[:2]]


def test_only_unseen_captions_of_seen_words_are_asked_for():
    training = ["a red cat", "A dog", "two cats"]
    held_out = ["a red dog", "A Red Cat", "a blue dog", "two", "A red dog"]
    assert askable(training, held_out) == ["a red dog", "two"]


def test_the_nearest_captions_share_most_words_and_are_never_the_own_one():
    own = "man waving: dark skin tone"
    captions = [*TRAINING, own.upper(), "a ghost", "man", *(f"animal {n}" for n in "abcdef")]
    found = nearest(own, captions)
    assert found == nearest(own, captions)
    assert len(found) == SHOWN - 1
    assert set(found[:2]) == {c for c in TRAINING if c.startswith("man")}
    assert set(found[2:5]) == {c for c in TRAINING if c.startswith("woman")} | {"man"}
    assert own.upper() not in found


def test_captions_at_random_are_different_ones_and_follow_the_seed():
    captions = [*(f"caption {n}" for n in range(40)), "OWN", "own"]
    found = at_random("own", captions, "0")
    assert found == at_random("own", captions[::-1], "0")
    assert found != at_random("own", captions, "1")
    assert len({c.casefold() for c in found} - {"own"}) == SHOWN - 1


def test_the_right_one_stands_anywhere_and_tasks_in_another_order():
    asked = [f"caption {n}" for n in range(40)]
    found = tasks(asked, lambda own: at_random(own, asked, "0"), "seed")
    assert sorted(task.own for task in found) == sorted(asked)
    assert [task.own for task in found] != asked
    assert all(task.captions[task.right - 1] == task.own for task in found)
    assert {task.right for task in found} == set(range(1, SHOWN + 1))


def test_answers_are_counted_and_those_left_out_are_not():
    key = {"drawings-near": [3, 8, 1, 2], "real-near": [1]}
    assert score(key, "drawings-near 3 7\n\ndrawings-near - 2\n") == {"drawings-near": (2, 3)}


@pytest.mark.parametrize("answers", ["drawings-near 3", "drawings-far 3 8", "drawings-near 3 9"])
def test_answers_that_cannot_be_right_are_refused(answers):
    with pytest.raises(ConfigError, match="wanted numbers from 1 to 8"):
        score({"drawings-near": [3, 8]}, answers)


def test_sheets_hold_every_picture_and_no_line_runs_out():
    red = np.full((64, 64, 3), [200, 0, 0], np.uint8)
    asked = [Asked(red, ["a caption that is far too long for its place " * 9] * SHOWN)] * 13
    first, second = sheets(asked, "drawings-near")
    assert reds(first) == COLUMNS * ROWS * reds(second)
    assert (first[:, -4:] == 255).all()
    odd, plain = (next(sheets([Asked(red, [word])], "")) for word in ("don\u2019t", "don't"))
    assert (odd == plain).all()
    row = beside([("a caption", [red, None, red])], ["drawings", "nearest", "real"])
    assert 0 < reds(row) < reds(second)


def reds(sheet):
    return int((sheet == [200, 0, 0]).all(axis=2).sum())
