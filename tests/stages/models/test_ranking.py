"""Who is best, by hand: by CLIP, by likelihood, and by both in units of their spread."""

import numpy as np
import pytest

from schemas.settings import FilterSettings
from stages.models.ranking import FLAT, best_first, is_flat, standardised

COSINES, NATS = [0.1, 0.3, 0.2, 0.2], [-50.0, -90.0, -60.0, -60.0]
SHOWN = [False] * 4  # none of them is flat


def test_each_by_itself():
    assert best_first(COSINES, NATS, SHOWN, "clip") == [1, 2, 3, 0]
    assert best_first(COSINES, NATS, SHOWN, "likelihood") == [0, 2, 3, 1]


def test_both_by_hand():
    """Means 0.2 and -65; spreads sqrt(0.005) and sqrt(225)."""
    cosines = np.array([-0.1, 0.1, 0, 0]) / 0.005**0.5
    nats = np.array([15, -25, 5, 5]) / 225**0.5
    assert standardised(COSINES) == pytest.approx(cosines)
    assert standardised(NATS) == pytest.approx(nats)
    assert (cosines + nats).argsort().tolist()[:2] == [0, 1]  # the extremes are worst
    assert best_first(COSINES, NATS, SHOWN, "both") == [2, 3, 1, 0]


@pytest.mark.parametrize("rank_by", ["clip", "likelihood", "both"])
def test_equal_candidates_keep_their_order(rank_by):
    assert best_first([0.5] * 99, [-3.0] * 99, [False] * 99, rank_by) == list(range(99))
    assert best_first([0.5], [-3.0], [False], rank_by) == [0]
    assert best_first([0.5, 0.1] * 2, [-1.0, -2.0] * 2, SHOWN, rank_by) == [0, 2, 1, 3]


@pytest.mark.parametrize("rank_by", ["clip", "likelihood", "both"])
def test_units_do_not_matter(rank_by):
    """Nats of ten times as many codes, and cosines of a CLIP that spreads them less."""
    rng = np.random.default_rng(0)
    cosines, nats = rng.normal(0.2, 0.05, 40), rng.normal(-300, 20, 40)
    order = best_first(cosines.tolist(), nats.tolist(), [False] * 40, rank_by)
    scaled = (0.1 * cosines + 0.7).tolist(), (10 * nats - 40).tolist()
    other = best_first(*scaled, [False] * 40, rank_by)
    assert other == order
    assert sorted(order) == list(range(40))


def test_where_one_tells_nothing_the_other_decides():
    assert best_first([0.5] * 4, NATS, SHOWN, "both") == best_first(
        COSINES, NATS, SHOWN, "likelihood"
    )
    assert best_first(COSINES, [-7.0] * 4, SHOWN, "both") == best_first(
        COSINES, NATS, SHOWN, "clip"
    )


@pytest.mark.parametrize("rank_by", ["likelihood", "both"])
def test_flat_pictures_are_last_and_count_for_nothing(rank_by):
    cosines, nats = [*COSINES, 0.9, -0.9], [*NATS, -1.0, -1.0]
    order = best_first(cosines, nats, [*SHOWN, True, True], rank_by)
    assert order == [*best_first(COSINES, NATS, SHOWN, rank_by), 4, 5]
    assert best_first(COSINES, NATS, [True] * 4, rank_by) == [0, 1, 2, 3]


def test_clip_alone_ranks_as_the_paper_does():
    assert best_first([0.1, 0.9], [-2.0, -1.0], [False, True], "clip") == [1, 0]


def test_flat_is_what_the_filter_drops_by_default():
    """A channel at 120 and 130 by halves deviates by 5 levels, one at 120 and 129 by 4.5."""
    for high, flat in ((130, False), (129, True)):
        pixels = np.full((4, 4, 3), 120, np.uint8)
        pixels[:2, :, 2] = high
        assert is_flat(pixels) == flat
    assert FilterSettings().min_contrast == FLAT
