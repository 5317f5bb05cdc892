"""Who sees what: every pair five times, sides and orders by lot, the same for the same seed."""

from collections import Counter

import pytest

from tests.pipelines.rate.planted import plan


def real(plan):
    return [pair for pair in plan.pairs if pair.ruined is None]


@pytest.mark.parametrize("raters", [1, 3, 5, 12])
def test_each_pair_gets_its_votes_from_different_raters_and_each_rater_all_gold(raters):
    made = plan(60, raters=raters)
    shown = Counter(number for page in made.pages for number in page.pairs)
    assert {shown[pair.number] for pair in real(made)} == {min(5, raters)} == {made.votes}
    for page in made.pages:
        assert len(set(page.pairs)) == len(page.pairs)
        assert {pair.number for pair in made.pairs if pair.ruined} <= set(page.pairs)
    sizes = [len(page.pairs) for page in made.pages]
    assert max(sizes) - min(sizes) <= 1


def test_a_thousand_captions_make_a_thousand_pairs_and_one_gold_question_to_twenty():
    made = plan(1_500)
    assert len({pair.key for pair in real(made)}) == len(real(made)) == 1_000
    assert len(made.pairs) == 1_050


def test_many_systems_meet_equally_often_and_never_twice_on_a_caption():
    made = plan(40, systems=("a", "b", "c", "d"), pairs=100)
    met = Counter(frozenset((pair.first, pair.second)) for pair in real(made))
    assert len(met) == 6
    assert max(met.values()) - min(met.values()) <= 3  # 40 captions are not 6 times a number
    met = Counter((pair.key, frozenset((pair.first, pair.second))) for pair in real(made))
    assert set(met.values()) == {1}
    all_of_them = plan(4, systems=("a", "b", "c"))
    assert len(real(all_of_them)) == 12


def test_sides_pictures_and_order_are_drawn_by_lot_for_each_rater():
    made = plan(400)
    firsts = Counter(pair.first for pair in real(made))
    assert 160 < firsts["ours"] < 240
    for page in made.pages:
        assert 160 < sum(page.first_is_left) < 260
    one, other = made.pages[:2]
    assert one.pairs != other.pairs
    assert set(one.pairs) == set(other.pairs)
    sides = [dict(zip(page.pairs, page.first_is_left, strict=True)) for page in (one, other)]
    assert 140 < sum(sides[0][number] == sides[1][number] for number in one.pairs) < 280


def test_gold_questions_are_among_the_others():
    made = plan(400)
    places = [place for place, pair in enumerate(made.pairs) if pair.ruined]
    assert min(places) < 100
    assert max(places) > 320
    assert {made.pairs[place].ruined for place in places} == {"first", "second"}


def test_a_seed_makes_the_same_plan_again():
    assert plan(30, seed=4) == plan(30, seed=4)
    assert plan(30, seed=4).identity == plan(30, seed=4).identity != plan(30, seed=5).identity
