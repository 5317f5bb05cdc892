"""The Inception Score: its definition in loops, its ends, another package."""

import math
import warnings

import numpy as np
import pytest
import torch
from torchmetrics.image.inception import InceptionScore

from schemas.errors import UserError
from stages.metrics.inception_score import inception_score, probabilities_of
from tests.stages.metrics.known import TORCH_FIDELITY, two_sets_of_logits


def test_it_is_its_definition_in_loops():
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(4), 30)
    scores = []
    for part in (table[:10], table[10:20], table[20:]):
        overall = [sum(row[c] for row in part) / 10 for c in range(4)]
        divergences = [
            sum(row[c] * math.log(row[c] / overall[c]) for c in range(4)) for row in part
        ]
        scores.append(math.exp(sum(divergences) / 10))
    mean = sum(scores) / 3
    spread = math.sqrt(sum((score - mean) ** 2 for score in scores) / 3)
    assert inception_score(table, splits=3) == (pytest.approx(mean), pytest.approx(spread))


def test_it_is_1_where_all_are_alike_and_the_number_of_classes_where_each_is_sure_of_another():
    assert inception_score(np.full((20, 5), 0.2), splits=2) == (pytest.approx(1), 0)
    sure = np.tile(np.eye(5), (8, 1))
    assert inception_score(sure, splits=4) == (pytest.approx(5), 0)


def test_it_is_torchmetrics_and_torch_fidelitys_to_the_fourth_digit():
    logits = two_sets_of_logits()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # that it keeps all features, and of one split there is no spread
        theirs = InceptionScore(feature=torch.nn.Identity(), splits=1)
        theirs.update(torch.from_numpy(logits))
        expected, _ = theirs.compute()
    assert inception_score(probabilities_of(logits), 1)[0] == pytest.approx(expected.item())
    found = inception_score(probabilities_of(logits), splits=10)
    assert found == pytest.approx(TORCH_FIDELITY["inception_score"], rel=1e-6)


def test_splits_are_cut_as_elsewhere_also_where_they_do_not_divide_the_pictures():
    """Of 64 in ten the first has 6; NumPy's array_split would give it 7."""
    found = inception_score(probabilities_of(two_sets_of_logits()[:64]), splits=10)
    assert found == pytest.approx(TORCH_FIDELITY["inception_score_of_64"], rel=1e-6)


def test_logits_become_probabilities_however_large_they_are():
    found = probabilities_of(np.array([[1_000.0, 1_000.0, -1_000.0]]))
    assert found == pytest.approx(np.array([[0.5, 0.5, 0.0]]))


@pytest.mark.parametrize(
    ("table", "splits", "sentence"),
    [
        (np.eye(4), 0, "at least 1 split, found 0"),
        (np.eye(4), 5, r"at least 5 rows, .* found the shape \(4, 4\)"),
        (2 * np.eye(4), 1, "sums from 2 to 2: give logits to probabilities_of first"),
        (np.array([[-1.0, 2.0]]), 1, "found a least of -1"),
    ],
)
def test_what_is_no_table_of_probabilities_is_refused_in_a_sentence(table, splits, sentence):
    with pytest.raises(UserError, match=sentence):
        inception_score(table, splits)
