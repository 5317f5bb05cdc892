"""Votes, their majority, and how far a rater stands apart: by hand."""

import numpy as np
import pytest

from stages.evaluate.raters import TIE, disagreements, majorities, vote_counts

A, B, NEITHER, NONE = 0, 1, 2, -1


@pytest.mark.parametrize(
    ("votes", "majority"),
    [
        ([A, A, A, B, B], A),
        ([A, A, B, NEITHER, NONE], A),
        ([A, A, B, B, NEITHER], TIE),
        ([A, A, NEITHER, NEITHER, NEITHER], NEITHER),
        ([A, NEITHER], TIE),
        ([B, NONE, NONE], B),
        ([NONE, NONE], TIE),
    ],
)
def test_the_majority_has_more_votes_than_each_other_answer(votes, majority):
    counts = vote_counts(np.array(votes)[:, None])
    assert counts.tolist() == [[votes.count(answer) for answer in (A, B, NEITHER)]]
    assert majorities(counts).tolist() == [majority]


def test_a_rater_is_held_against_the_majority_of_the_others():
    choices = np.array(
        [
            [A, A, A, A, NONE],
            [A, A, B, B, B],
            [A, B, B, NONE, B],
        ]
    )
    # rater 1: the others say A, nothing (a tie), B, B, B; rater 2: A, nothing, nothing, A, B
    assert disagreements(choices).tolist() == [[2, 3], [1, 3], [1, 3]]


def test_nobody_disagrees_alone():
    assert disagreements(np.array([[A, B]])).tolist() == [[0, 0]]
