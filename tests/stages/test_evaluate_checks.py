"""What the report says in words of its counts: where choosing helps, and where it harms."""

import pytest

from stages import shapes
from stages.evaluate.checks import checks
from stages.evaluate.judgements import Judgement
from stages.evaluate.page import Gallery, render
from tests.stages.reports import centred, small_report

KINDS = [shapes.ShapeKind(colour, shape) for colour in shapes.COLOURS for shape in shapes.SHAPES]


def judgements(*histories, kind="seen", scores=(0.1, 0.2, 0.3)):
    """Make one for each history: is the favourite of 1, 2, 4 right? Each of its own combination."""
    return [
        Judgement(
            prompt=f"a {own.colour} {own.shape}",
            set=kind,
            single=centred(own) if history[0] else [],
            best_of={2**n: centred(own) if right else [] for n, right in enumerate(history)},
            clip_scores={2**n: score for n, score in enumerate(scores)},
            found={},
        )
        for own, history in zip(KINDS, histories, strict=False)
    ]


def said(made, words):
    (found,) = (one for one in small_report(made).checks if words in one.what)
    return found


GOOD, BAD, HELPED, HARMED, LATE = (1, 1, 1), (0, 0, 0), (0, 1, 1), (1, 0, 0), (0, 1, 0)


def test_a_gain_of_three_standard_errors_is_asked_of_reranking():
    def found(better, worse):
        made = judgements(*[HELPED] * better, *[HARMED] * worse, *[GOOD] * (36 - better - worse))
        check = said(made, "what choosing among 2 adds")
        return check.found, check.ok

    # by hand: mean (b - w) / 36, standard error sqrt((b + w - (b - w)^2 / 36) / 35 / 36)
    assert found(8, 0) == ("+22.2 points, standard error 7.0", True)
    assert found(7, 0) == ("+19.4 points, standard error 6.7", False)
    assert found(13, 1) == ("+33.3 points, standard error 8.9", True)
    assert found(9, 2) == ("+19.4 points, standard error 8.7", False)
    assert found(0, 9) == ("-25.0 points, standard error 7.3", False)


def test_where_choosing_harms_is_said_in_words_with_its_standard_errors():
    made = judgements(*[HARMED] * 6, HELPED, *[GOOD] * 29)
    check = said(made, "seen combinations: choosing")
    assert not check.ok
    # -5/36 over sqrt((7 - 25/36) / 35 / 36)
    words = "Choosing makes seen combinations worse by 13.9 points (2.0 standard errors)"
    assert check.meaning == words + ", which may be luck."
    assert words in render(small_report(made), Gallery())


def test_harm_that_is_no_luck_is_said_so():
    check = said(judgements(*[HARMED] * 12, *[GOOD] * 24), "choosing makes")
    assert check.meaning.endswith("worse by 33.3 points (4.2 standard errors).")


@pytest.mark.parametrize("histories", [[GOOD] * 36, [HELPED] * 3 + [GOOD] * 33, [BAD] * 36])
def test_where_it_does_not_harm_nothing_is_said(histories):
    assert said(judgements(*histories), "choosing makes").ok
    assert "makes seen combinations worse" not in render(
        small_report(judgements(*histories)), Gallery()
    )


def test_harm_in_one_set_is_not_hidden_by_help_in_another():
    made = judgements(*[HARMED] * 6, *[GOOD] * 30)
    made += judgements(*[HELPED] * 30, *[GOOD] * 6, kind="two_shapes")
    assert said(made, "what choosing among").ok
    assert not said(made, "seen combinations: choosing").ok
    assert said(made, "two shapes: choosing").ok


def test_a_favourite_of_more_that_is_worse_than_that_of_fewer_is_said():
    check = said(judgements(*[LATE] * 12, *[GOOD] * 24), "more to choose from")
    assert not check.ok
    assert check.found == "-33.3 points from 2 to 4 candidates (4.2 standard errors)"
    assert "favourite of 4 is right less often than that of 2" in check.meaning


def test_a_small_fall_is_told_but_may_be_luck():
    check = said(judgements(LATE, *[GOOD] * 35), "more to choose from")
    assert check.ok
    assert check.found == "-2.8 points from 2 to 4 candidates (1.0 standard errors)"
    assert said(judgements(*[HELPED] * 9, *[GOOD] * 27), "more to choose").found == "never fewer"


def test_a_score_that_falls_with_more_to_choose_from_cannot_be():
    made = judgements(*[GOOD] * 6, scores=(0.1, 0.3, 0.25))
    check = said(made, "CLIP score")
    assert (check.ok, check.found) == (False, "from 0.300 of 2 to 0.250 of 4")
    assert said(judgements(*[GOOD] * 6, scores=(0.1, 0.1, 0.1)), "CLIP score").ok


def test_pictures_that_do_as_well_for_other_prompts_are_not_above_chance():
    """All are of one combination, whatever is asked for."""
    seen = centred(KINDS[0])
    made = [
        Judgement(f"a {own.colour} {own.shape}", "seen", seen, {1: seen, 2: seen},
                {1: 0.1, 2: 0.2}, {})
        for own in KINDS[:6] * 4
    ]  # fmt: skip
    check = said(made, "than by chance")
    assert not check.ok
    assert check.found.startswith("16.7 %")
    assert said(judgements(*[GOOD] * 36), "than by chance").ok


def test_of_one_combination_no_gain_is_proved():
    own = KINDS[0]
    best_of = {1: [], 2: centred(own)}
    made = [
        Judgement(f"a {own.colour} {own.shape}", "seen", [], best_of, {1: 0.1, 2: 0.2}, {})
        for _ in range(50)
    ]
    check = said(made, "what choosing among")
    assert (check.ok, check.found) == (False, "+100.0 points, standard error unknown")
    page = render(small_report(made), Gallery())
    assert "50 prompts of 1 combination;" in page


def test_the_worst_combinations_are_named_and_all_are_on_the_map():
    histories = [GOOD] * 34 + [BAD, HARMED]
    page = render(small_report(judgements(*histories)), Gallery())
    assert "36 prompts of 36 combinations; worst are" in page
    for words in ("black cross (0 of 1)", "black ring (0 of 1)", "34 of 36 combinations are right"):
        assert words in page
    assert page.count(">1/1</td>") == 34
    assert page.count(">0/1</td>") == 2


def test_sets_that_a_user_names_are_shown_whatever_their_name():
    names = ("my own", "chance", "gain", "judge", "candidates")
    made = [one for name in names for one in judgements(GOOD, HELPED, BAD, kind=name)]
    report = small_report(made)
    assert isinstance(report.accuracy.chance, float)
    page = render(report, Gallery())
    for name in names:
        assert f'<td class="nowrap">{name}</td>' in page


def test_a_few_pictures_cannot_use_all_of_a_large_codebook():
    report = small_report()
    few = {"codes": 8_192, "positions": 144, "codes_used": 100}
    report = report.model_copy(update={"dvae": report.dvae.model_copy(update=few)})
    (check,) = (one for one in checks(report) if one.what == "codes in use")
    assert (check.ok, check.wanted) == (True, "at least 18")
