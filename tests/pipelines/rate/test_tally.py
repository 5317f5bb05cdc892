"""Planted votes give the planted answer, and raters who do not look are left out."""

import json

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest

from pipelines.rate import __main__ as rate
from pipelines.rate.answers import read_answers
from pipelines.rate.tally import Tally
from pipelines.rate.tally import tally as count
from tests.pipelines.rate.planted import answers, plan, write

SHARES = {"realism": 0.900, "match": 0.933}  # of 1,000 captions, as the paper found


def planted_winner(plan, wrong_rater):
    """Choose the winner of each pair; of five raters one chooses the loser, each in turn."""
    place = {pair.number: n for n, pair in enumerate(p for p in plan.pairs if p.ruined is None)}

    def choose(pair, question):
        if pair.ruined:
            return "ours"
        here = place[pair.number]
        wins = here < round(SHARES[question] * len(place))
        return "ours" if wins != (here % 5 == wrong_rater % 5) else "theirs"

    return choose


def tallied(folder, plan, *ratings):
    write(folder, plan, *ratings)
    return count(plan, read_answers(folder, plan))


def test_planted_majorities_are_found_with_scipys_intervals(tmp_path, capsys):
    made = plan(1_000)
    ratings = [answers(made, rater, planted_winner(made, rater)) for rater in range(1, 6)]
    write(tmp_path, made, *ratings)
    assert rate.main(["tally", str(tmp_path)]) == 0
    found = Tally.model_validate_json((tmp_path / "tally.json").read_bytes())
    for question, share in SHARES.items():
        (one,) = getattr(found, question).matchups
        wins = round(1_000 * share)
        assert (one.for_one, one.for_other, one.neither, one.tied) == (wins, 1_000 - wins, 0, 0)
        assert one.share == share
        wilson = binomtest(wins, 1_000).proportion_ci(method="wilson")
        assert one.interval == pytest.approx(wilson, abs=1e-12)
        assert one.votes_for_one == 4 * wins + (1_000 - wins)
        # of ten pairs of votes on a pair, six agree
        assert getattr(found, question).agreeing == pytest.approx(0.6)
    assert found.pairs_by_votes == {5: 1_000}
    assert all(rater.left_out is None for rater in found.raters)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "90.0%" in printed
    assert "93.3%" in printed
    assert "5 votes each" in printed


def test_alpha_is_between_pictures_and_not_between_systems(tmp_path):
    """Where all prefer one system on every caption, they agree; by lot, they do not."""
    made = plan(60)
    whole = tallied(tmp_path, made, *(answers(made, n, lambda p, q: "ours") for n in range(1, 6)))
    assert whole.realism.alpha == whole.match.alpha == 1
    rng = np.random.default_rng(0)
    by_lot = [answers(made, n, lambda p, q: rng.choice(["ours", "theirs"])) for n in range(1, 6)]
    assert abs(tallied(tmp_path, made, *by_lot).realism.alpha) < 0.2


def test_neither_ties_and_missing_votes(tmp_path):
    made = plan(40, raters=3)

    def neither(pair, question):
        return "neither" if question == "match" else "ours"

    ratings = [
        answers(made, 1, neither),
        answers(made, 2, neither),
        answers(made, 3, lambda p, q: "theirs"),
    ]
    ratings[2]["answers"] = ratings[2]["answers"][:20]
    found = tallied(tmp_path, made, *ratings)
    (match,), (realism,) = found.match.matchups, found.realism.matchups
    assert (match.neither, match.share, match.interval) == (40, None, (0.0, 1.0))
    assert (realism.for_one, realism.votes_for_other) == (40, match.votes_for_other)
    assert match.votes_neither == 80
    assert sum(found.pairs_by_votes.values()) == 40
    assert set(found.pairs_by_votes) == {2, 3}
    two = tallied(tmp_path, made, ratings[0] | {"answers": []}, *ratings[1:])
    assert two.realism.matchups[0].tied == found.pairs_by_votes[3]


def sloppy(rng):
    """Choose by lot, but never the ruined picture."""
    return lambda pair, question: rng.choice(["ours", "theirs"])


def now_and_then(rng):
    """Differ from the others in a vote of twenty."""
    return lambda pair, question: "theirs" if rng.random() < 0.05 else "ours"


@pytest.mark.parametrize(
    ("seconds", "is_sloppy", "left_out"),
    [(1.5, True, True), (1.5, False, False), (9.0, True, False), (9.0, False, False)],
)
def test_who_is_fast_and_differs_is_left_out_and_who_is_only_one_of_them_is_not(
    tmp_path, seconds, is_sloppy, left_out
):
    made = plan(100)
    rng = np.random.default_rng(0)
    ratings = [answers(made, rater, lambda p, q: "ours") for rater in range(1, 5)]
    ratings.append(answers(made, 5, sloppy(rng) if is_sloppy else now_and_then(rng), seconds))
    found = tallied(tmp_path, made, *ratings)
    assert [rater.left_out is not None for rater in found.raters] == [False] * 4 + [left_out]
    assert found.raters[4].fast == (seconds < 4)
    assert found.pairs_by_votes == {4 if left_out else 5: 100}
    if left_out:
        assert "100% of answers in under 4 s" in found.raters[4].left_out
        assert found.realism.matchups[0].votes_for_other == 0


@pytest.mark.parametrize("habit", ["lots", "always the ruined one"])
def test_who_chooses_ruined_pictures_is_left_out(tmp_path, capsys, habit):
    made = plan(100)
    rng = np.random.default_rng(1)

    def careless(pair, question):
        if habit == "lots":
            return rng.choice(["first", "second"])
        return pair.ruined or "ours"

    ratings = [answers(made, 1, careless), answers(made, 2, lambda p, q: "ours")]
    write(tmp_path, made, *ratings)
    assert rate.main(["tally", str(tmp_path)]) == 0
    found = Tally.model_validate_json((tmp_path / "tally.json").read_bytes())
    assert [rater.gold_asked for rater in found.raters] == [5, 5]
    assert found.raters[1].gold_right == 5
    assert "gold questions right" in found.raters[0].left_out
    assert found.raters[1].left_out is None
    assert "left out rater 1" in capsys.readouterr().out


def test_one_slip_is_forgiven_and_neither_matches_is_no_mistake(tmp_path):
    made = plan(100)
    (slip, *_) = (pair for pair in made.pairs if pair.ruined)

    def choose(pair, question):
        if pair.ruined:
            return slip.ruined if pair == slip else "neither" if question == "match" else "ours"
        return "ours"

    rating = answers(made, 1, choose)
    by_pair = {answer["pair"]: answer for answer in rating["answers"]}
    for pair in made.pairs:
        if pair.ruined and pair != slip:
            by_pair[pair.number]["match"] = "neither"
    (rater,) = tallied(tmp_path, made, rating).raters
    assert (rater.gold_right, rater.gold_asked, rater.left_out) == (4, 5, None)
    later = {pair.number for pair in made.pairs if pair.ruined and pair != slip}
    later.pop()  # of the gold questions, the slip and one other were answered
    rating["answers"] = [one for one in rating["answers"] if one["pair"] not in later]
    (rater,) = tallied(tmp_path, made, rating).raters
    assert (rater.gold_right, rater.gold_asked, rater.left_out) == (1, 2, None)


def test_where_nobody_is_counted_nothing_is_claimed(tmp_path, capsys):
    made = plan(30)
    write(tmp_path, made, answers(made, 1, lambda p, q: p.ruined or "ours"))
    assert rate.main(["tally", str(tmp_path)]) == 0
    found = Tally.model_validate_json((tmp_path / "tally.json").read_bytes())
    assert found.realism.matchups[0].pairs == 0
    assert {one.interval for one in found.realism.strengths} == {None}
    assert "no two votes on one pair" in capsys.readouterr().out


def test_many_systems_are_ranked_by_their_strengths(tmp_path, capsys):
    worth = {"best": 1.5, "good": 0.5, "so so": -0.4, "worst": -1.6}
    made = plan(200, systems=tuple(worth), pairs=600)
    rng = np.random.default_rng(2)

    def choose(pair, question):
        first_wins = rng.random() < expit(worth[pair.first] - worth[pair.second])
        return pair.first if first_wins else pair.second

    write(tmp_path, made, *(answers(made, rater, choose) for rater in range(1, 6)))
    assert rate.main(["tally", str(tmp_path)]) == 0
    found = Tally.model_validate_json((tmp_path / "tally.json").read_bytes())
    for question in (found.realism, found.match):
        assert [one.system for one in question.strengths] == list(worth)
        for one in question.strengths:
            low, high = one.interval
            assert low < one.strength < high
            assert low - 0.15 < worth[one.system] < high + 0.15
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "strength" in printed


def good(tmp_path):
    made = plan(20)
    rating = answers(made, 2, lambda p, q: "ours")
    return made, rating, write(tmp_path, made, rating)


def other_file(folder, content):
    (folder / "other.json").write_text(content if isinstance(content, str) else json.dumps(content))


FAULTS = {
    "no JSON": (lambda f, r: other_file(f, "{"), "other.json, found another file"),
    "another JSON": (lambda f, r: other_file(f, {"a": 1}), "other.json, found another file"),
    "a later version": (
        lambda f, r: other_file(f, r | {"rater": 1, "version": 2}), "(version: Input should be 1)"),
    "another plan": (
        lambda f, r: other_file(f, r | {"rater": 1, "plan": "0" * 12}), "of the plan 000000000000"),
    "a rater twice": (lambda f, r: other_file(f, r), "two of rater 2, other.json and"),
    "no such rater": (lambda f, r: other_file(f, r | {"rater": 9}), "other.json of rater 9"),
    "a pair twice": (
        lambda f, r: other_file(f, r | {"rater": 1, "answers": r["answers"][:1] * 2}),
        "each pair of the page once"),
    "a pair of nobody": (
        lambda f, r: other_file(f, r | {"rater": 1, "answers": [r["answers"][0] | {"pair": 999}]}),
        "each pair of the page once"),
    "an answer of nobody": (
        lambda f, r: other_file(
            f, r | {"rater": 1, "answers": [r["answers"][0] | {"realism": "neither"}]}),
        "(answers.0.realism: Input should be 'left' or 'right')"),
    "no answers": (lambda f, r: [p.unlink() for p in f.glob("rating-*")], "found none; put them"),
    "no plan": (lambda f, r: (f / "plan.json").unlink(), "wanted a plan.json"),
    "a foreign plan": (lambda f, r: (f / "plan.json").write_text("[]"), "the plan of a rating"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_file_is_one_sentence(tmp_path, capsys, fault):
    damage, sentence = FAULTS[fault]
    _, rating, folder = good(tmp_path)
    damage(folder, rating)
    assert rate.main(["tally", str(folder)]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not (folder / "tally.json").exists()


def test_a_tally_is_counted_again(tmp_path):
    folder = good(tmp_path)[2]
    assert rate.main(["tally", str(folder)]) == 0
    first = (folder / "tally.json").read_bytes()
    assert rate.main(["tally", str(folder)]) == 0
    assert (folder / "tally.json").read_bytes() == first
