"""Count the votes of a human evaluation: majorities, strengths, agreement.

Paper: section 3.1, the share of captions for which the majority of five prefers a system.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from pipelines.rate.answers import Answers, votes
from pipelines.rate.rater_checks import CheckedRater, check_raters
from pipelines.rate.rating_plan import PlannedPair, RatingPlan
from schemas.manifest import Record
from stages.evaluate.bradley_terry import strength_intervals, strengths
from stages.evaluate.intervals import wilson
from stages.evaluate.rater_agreement import agreeing_share, krippendorff_alpha
from stages.evaluate.raters import (
    FIRST,
    NEITHER,
    SECOND,
    TIE,
    Counts,
    majorities,
    vote_counts,
)


class Matchup(Record):
    """Two systems on the captions where they met: pairs by what the majority chose, and votes."""

    one: str
    other: str
    pairs: int
    for_one: int = Field(description="pairs that the majority gave to `one`")
    for_other: int
    neither: int = Field(description="pairs for which most votes say neither")
    tied: int = Field(description="pairs where no answer has more votes than each other one")
    share: float | None = Field(description="for_one of for_one + for_other")
    interval: tuple[float, float] = Field(description="Wilson's, 95 %, of the share")
    votes_for_one: int
    votes_for_other: int
    votes_neither: int


class Strength(Record):
    """How strong a system is by Bradley and Terry; a difference is the log-odds of a vote."""

    system: str
    strength: float
    interval: tuple[float, float] | None = Field(
        description="95 %, bootstrap over captions; null without a vote"
    )


class QuestionTally(Record):
    """The answers to one question."""

    alpha: float | None = Field(description="Krippendorff's, nominal")
    agreeing: float | None = Field(description="share of pairs of votes on one pair that are alike")
    matchups: tuple[Matchup, ...]
    strengths: tuple[Strength, ...] = Field(description="strongest first")


class Tally(Record):
    """What tally.json holds."""

    format: Literal["dalle-ray rating tally"] = "dalle-ray rating tally"
    version: Literal[1] = 1
    plan: str
    systems: dict[str, str] = Field(description="where the pictures of each came from")
    pairs: int = Field(description="planned, without gold questions")
    votes_planned: int = Field(description="of each pair")
    pairs_by_votes: dict[int, int] = Field(description="pairs that got so many counted votes")
    raters: tuple[CheckedRater, ...]
    realism: QuestionTally
    match: QuestionTally


def tally(plan: RatingPlan, answers: Mapping[str, Answers]) -> Tally:
    """Count the votes of the raters who keep the rules."""
    cast = votes(plan, list(answers.values()))
    raters = check_raters(plan, answers, cast)
    counted = np.array([rater.left_out is None for rater in raters])
    real = [place for place, pair in enumerate(plan.pairs) if pair.ruined is None]
    pairs = [plan.pairs[place] for place in real]
    names = [system.name for system in plan.systems]
    realism, match = (
        vote_counts(choices[counted][:, real]) for choices in (cast.realism, cast.match)
    )
    sizes, times = np.unique(realism.sum(axis=1), return_counts=True)
    return Tally(
        plan=plan.identity,
        systems={system.name: system.source for system in plan.systems},
        pairs=len(pairs),
        votes_planned=plan.votes,
        pairs_by_votes=dict(zip(sizes.tolist(), times.tolist(), strict=True)),
        raters=raters,
        realism=_question(pairs, names, realism),
        match=_question(pairs, names, match),
    )


def _question(
    pairs: Sequence[PlannedPair], systems: Sequence[str], counts: Counts
) -> QuestionTally:
    found = strengths_of(pairs, systems, counts)
    return QuestionTally(
        alpha=krippendorff_alpha(counts),
        agreeing=agreeing_share(counts),
        matchups=tuple(
            matchup(one, other, pairs, counts) for one, other in combinations(systems, 2)
        ),
        strengths=tuple(sorted(found, key=lambda one: -one.strength)),
    )


def matchup(one: str, other: str, pairs: Sequence[PlannedPair], counts: Counts) -> Matchup:
    """Count the pairs of two systems by their majority; pairs without a vote are none."""
    turns = {(one, other): [FIRST, SECOND, NEITHER], (other, one): [SECOND, FIRST, NEITHER]}
    met = [
        counts[place, turns[pair.first, pair.second]]
        for place, pair in enumerate(pairs)
        if (pair.first, pair.second) in turns and counts[place].any()
    ]
    own = np.array(met, dtype=np.int64).reshape(-1, 3)
    decided = majorities(own)
    for_one, for_other, neither, tied = (
        int((decided == answer).sum()) for answer in (FIRST, SECOND, NEITHER, TIE)
    )
    votes_for_one, votes_for_other, votes_neither = own.sum(axis=0).tolist()
    return Matchup(
        one=one,
        other=other,
        pairs=len(own),
        for_one=for_one,
        for_other=for_other,
        neither=neither,
        tied=tied,
        share=for_one / (for_one + for_other) if for_one + for_other else None,
        interval=wilson(for_one, for_one + for_other),
        votes_for_one=votes_for_one,
        votes_for_other=votes_for_other,
        votes_neither=votes_neither,
    )


def strengths_of(
    pairs: Sequence[PlannedPair], systems: Sequence[str], counts: Counts
) -> list[Strength]:
    """Fit a strength to each system, from votes; those for neither say nothing of it."""
    wins = _wins(pairs, systems, counts)
    total = wins.sum(axis=0)
    fitted, ends = strengths(total), strength_intervals(wins).tolist()
    compared = (total + total.T).any(axis=0)
    return [
        Strength(
            system=name,
            strength=float(fitted[place]),
            interval=(ends[place][0], ends[place][1]) if compared[place] else None,
        )
        for place, name in enumerate(systems)
    ]


def _wins(
    pairs: Sequence[PlannedPair], systems: Sequence[str], counts: Counts
) -> Float[np.ndarray, "captions systems systems"]:
    """Return how often each system was preferred to each other one, caption by caption."""
    place = {name: number for number, name in enumerate(systems)}
    caption = {key: number for number, key in enumerate(dict.fromkeys(p.key for p in pairs))}
    wins = np.zeros((len(caption), len(systems), len(systems)))
    for pair, (first, second, _) in zip(pairs, counts.tolist(), strict=True):
        here, one, other = caption[pair.key], place[pair.first], place[pair.second]
        wins[here, one, other] += first
        wins[here, other, one] += second
    return wins
