"""Which pictures are right, by hand: of the first, of the favourite, and of other prompts."""

import math

import pytest

from stages import shapes
from stages.evaluate.accuracy import accuracy
from stages.evaluate.judgements import halvings, judged
from stages.evaluate.reading import Candidate, DrawnPrompt
from stages.pictures import encode_png
from stages.shapes.world import Figure
from tests.stages.reports import BLUE_RING, RED_STAR, judgement


def test_halvings_end_with_all_candidates():
    assert halvings(16) == [1, 2, 4, 8, 16]
    assert halvings(6) == [1, 2, 4, 6]
    assert halvings(1) == [1]


def test_accuracy_counts_named_shapes_in_their_own_colours():
    found = accuracy(
        [
            judgement("a red star", [], [RED_STAR], score=0.75),
            judgement("a red star", [BLUE_RING], [RED_STAR, BLUE_RING]),  # more than asked is right
            judgement("a blue ring", [BLUE_RING], [shapes.ShapeKind("red", "ring")], score=0.25),
            judgement(
                "a red star and a blue ring", [RED_STAR], [BLUE_RING, RED_STAR], "two_shapes"
            ),
        ]
    )
    held_out = found["held_out"]
    assert held_out.prompts == 3
    assert held_out.single == pytest.approx(1 / 3)
    assert held_out.reranked == pytest.approx(2 / 3)
    assert held_out.combinations == 2
    one, two = held_out.by_candidates[1], held_out.by_candidates[2]
    assert one.right == pytest.approx(1 / 3)
    assert two.right == pytest.approx(2 / 3)
    assert two.right_interval == held_out.reranked_interval
    assert one.clip_score == 0.25
    assert two.clip_score == 0.5
    # by prompt: +1, +1, -1, and the first two are of one combination: errors 4/3 and -4/3
    assert held_out.gain.share == pytest.approx(1 / 3)
    squares = (4 / 3) ** 2 + (4 / 3) ** 2
    assert held_out.gain.standard_error == pytest.approx(math.sqrt(2 / 1 * squares) / 3)
    # favourites handed to the others: 0 <- 1, 1 <- 0 and 2 <- 1 would be right, of six
    assert held_out.chance == pytest.approx(3 / 6)
    assert found["two_shapes"].single == 0
    assert found["two_shapes"].reranked == 1


def drawn_prompt(text, kinds, ranks, side=64):
    """A prompt whose candidate i shows shape kinds[i] and has ranks[i]."""
    ranked = []
    for number, (kind, rank) in enumerate(zip(kinds, ranks, strict=True)):
        figure = Figure(kind, shapes.COLOURS[kind.colour], "large", 0.5, 0.5, 0.25)
        scene = shapes.Scene((figure,), (200, 200, 200), "middle", "", text)
        png = encode_png(shapes.draw(scene, side))
        ranked.append(Candidate(number, number, rank, clip_score=-rank, log_likelihood=0, png=png))
    return DrawnPrompt(0, text, "seen", tuple(sorted(ranked, key=lambda one: one.rank)))


def test_single_is_candidate_zero_and_best_of_n_is_the_favourite_among_the_first_n():
    kinds = [BLUE_RING, RED_STAR, BLUE_RING, RED_STAR]
    seen = judged(drawn_prompt("a red star", kinds, ranks=[3, 1, 2, 0]), shown=0)
    assert [one.kind for one in seen.single] == [BLUE_RING]
    favourites = {count: [one.kind for one in found] for count, found in seen.best_of.items()}
    assert favourites == {1: [BLUE_RING], 2: [RED_STAR], 4: [RED_STAR]}
    assert seen.clip_scores == {1: -3, 2: -1, 4: 0}


def test_a_prompt_that_names_nothing_of_the_world_is_not_judged():
    assert judged(drawn_prompt("a cat", [RED_STAR], [0]), shown=1) is None
