"""Krippendorff's alpha as in published examples, and the share of votes that agree."""

import numpy as np
import pytest

from stages.evaluate.rater_agreement import agreeing_share, krippendorff_alpha

# K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers,
# twelve units, nominal data. A dot is a missing value.
KRIPPENDORFF_2011 = """
    1 2 3 3 2 1 4 1 2 . . .
    1 2 3 3 2 2 4 1 2 5 . 3
    . 3 3 3 2 3 4 2 2 5 1 .
    1 2 3 3 2 4 4 1 2 5 1 .
"""
# The same author's example with three coders and fifteen units (Wikipedia, "Krippendorff's alpha").
THREE_CODERS = """
    . . . . . 3 4 1 2 1 1 3 3 . 3
    1 . 2 1 3 3 4 3 . . . . . . .
    . . 2 1 3 4 4 . 2 1 1 3 3 . 4
"""


def counts(text):
    """Turn a row of values per rater into counts per unit."""
    raters = [line.split() for line in text.strip().splitlines()]
    values = sorted({value for rater in raters for value in rater} - {"."})
    return np.array([[unit.count(value) for value in values] for unit in zip(*raters, strict=True)])


@pytest.mark.parametrize(
    ("published", "alpha"), [(KRIPPENDORFF_2011, 0.743), (THREE_CODERS, 0.691)]
)
def test_alpha_of_published_examples(published, alpha):
    assert krippendorff_alpha(counts(published)) == pytest.approx(alpha, abs=0.0005)


def test_alpha_is_one_for_agreement_and_about_zero_for_lots():
    assert krippendorff_alpha(counts("1 2 1 2 3\n1 2 1 2 3\n1 . 1 2 .")) == 1
    votes = np.random.default_rng(0).multinomial(5, [0.5, 0.3, 0.2], size=4_000)
    assert krippendorff_alpha(votes) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("text", ["1 1 1\n1 1 1", "1 . 2\n. 1 ."])
def test_where_nobody_could_disagree_alpha_is_undefined(text):
    assert krippendorff_alpha(counts(text)) is None


def test_the_share_of_pairs_of_votes_that_agree():
    # unit 1: of three pairs one agrees; unit 2: one of one; unit 3 has one vote, and no pair
    assert agreeing_share(counts("1 2 1\n1 2 .\n2 . .")) == 0.5
    assert agreeing_share(counts("1 .\n. 1")) is None
