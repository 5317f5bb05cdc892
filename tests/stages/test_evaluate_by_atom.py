"""How much of what prompts say is so, by hand: single statements, whole prompts, long ones."""

import pytest

from stages import shapes
from stages.evaluate.accuracy import accuracy
from stages.evaluate.checks import checks
from stages.evaluate.intervals import interval
from stages.evaluate.judgements import Judgement
from tests.stages.reports import BLUE_RING, RED_STAR, judgement, small_report

BOTH = frozenset({RED_STAR, BLUE_RING})


def row(*kinds):
    """What is seen of shapes in a row, the first on the left."""
    places = {1: [0.5], 2: [0.25, 0.75]}[len(kinds)]
    return [shapes.SeenShape(k, x, 0.5, 0.23) for k, x in zip(kinds, places, strict=True)]


def judged(prompt, single, best):
    return Judgement(prompt, "two_shapes", single, {1: single, 2: best}, {1: 0.1, 2: 0.2}, {})


MADE = [
    judged(
        "a red star is to the left of a blue ring",
        row(BLUE_RING, RED_STAR),
        row(RED_STAR, BLUE_RING),
    ),
    judged("a red star is above a blue ring", [], row(BLUE_RING, RED_STAR)),
    judged("a red star and a blue ring", [], row(RED_STAR)),
]


@pytest.fixture(scope="module")
def found():
    return accuracy(MADE)["two_shapes"]


def test_each_aspect_counts_its_statements(found):
    by_aspect = found.by_aspect
    assert list(by_aspect) == ["shape", "relation", "count"]
    said = {aspect: (of.atoms, of.single, of.reranked) for aspect, of in by_aspect.items()}
    assert said["shape"] == (6, pytest.approx(2 / 6), pytest.approx(5 / 6))
    assert said["relation"] == (2, 0, 0.5)
    assert said["count"] == (3, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert by_aspect["relation"].chance == 0
    # favourites handed to others: two shapes do for each other's shapes, one for half of them
    assert by_aspect["shape"].chance == pytest.approx((4 * 1 + 2 * 0.5) / 6)


def test_statements_of_one_prompt_are_one_cluster(found):
    hits = [True, True, True, True, True, False]
    expected = interval(hits, [BOTH] * 6)
    assert found.by_aspect["shape"].reranked_interval == expected


def test_a_prompt_is_right_as_a_whole_or_not(found):
    whole = found.whole
    assert (whole.single, whole.reranked) == (0, pytest.approx(1 / 3))
    assert whole.reranked_interval == interval([True, False, False], [BOTH] * 3)
    assert whole.chance == pytest.approx(2 / 6)  # either two shapes will do for the third prompt


def test_colour_and_shape_alone_are_counted_as_ever(found):
    assert found.single == pytest.approx(1 / 3)  # though swapped
    assert found.reranked == pytest.approx(2 / 3)


def test_longer_prompts_have_more_to_be_wrong(found):
    by_length = found.by_length
    assert list(by_length) == ["3", "4 or more"]
    three, four = by_length.values()
    assert (three.prompts, three.whole, three.atoms) == (1, 0, pytest.approx(1 / 3))
    assert (four.prompts, four.whole, four.atoms) == (2, 0.5, pytest.approx(7 / 8))
    long = judged("a small red star at the top and a large blue ring at the bottom", [], [])
    one, more = judged("red star", [], row(RED_STAR)), judged("a red star", [], [])
    lengths = accuracy([long, one, more])["two_shapes"].by_length
    assert {length: of.whole for length, of in lengths.items()} == {
        "1": 1.0, "2": 0.0, "4 or more": 0.0
    }  # fmt: skip


def test_a_missing_shape_is_told_from_one_in_the_wrong_place():
    made = [
        judgement("a red star on the left", [], [BLUE_RING]),
        judgement("a red star on the left", [], [RED_STAR]),
        judgement("a red star in the middle", [], [RED_STAR]),
    ]
    place = accuracy(made)["held_out"].by_aspect["place"]
    assert place.reranked == pytest.approx(1 / 3)
    assert (place.there, place.if_there) == (2, 0.5)
    alone = frozenset({RED_STAR})
    assert place.if_there_interval == interval([False, True], [alone] * 2)
    nothing = accuracy(made[:1])["held_out"].by_aspect["place"]
    assert (nothing.there, nothing.if_there) == (0, None)


def test_shapes_that_are_there_but_swapped_by_luck_are_said_so():
    def found(right):
        """Of 30 pictures with both shapes, in so many each is where it should be."""
        others = [(one, two) for one in shapes.COLOURS for two in shapes.COLOURS if one < two]
        made = []
        for number, (one, two) in enumerate(others * 2):
            star, ring = shapes.ShapeKind(one, "star"), shapes.ShapeKind(two, "ring")
            best = row(star, ring) if number < right else row(ring, star)
            made.append(judged(f"a {one} star to the left of a {two} ring", best, best))
        report = small_report(made)
        (check,) = (one for one in checks(report) if "which of the two" in one.what)
        return check.ok, check.found.partition(" (")[0]

    assert found(30) == (True, "100.0 %")
    assert found(15) == (False, "50.0 %")
    assert "which of the two" not in str(checks(small_report()))  # one shape has no relation
