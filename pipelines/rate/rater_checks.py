"""Which raters are counted: gold questions, and the rule by which the paper left one out.

Paper: appendix F, "high disagreement with other workers combined with a fast answer velocity (with
many answer times below 4 seconds)". It gives no numbers but the 4 seconds; the others are ours.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool
from pydantic import Field

from pipelines.rate.answers import Answers, Votes
from pipelines.rate.rating_plan import RatingPlan
from schemas.manifest import Record
from stages.evaluate.intervals import wilson
from stages.evaluate.raters import FIRST, MISSING, SECOND, disagreements

TOO_FAST_SECONDS = 4.0
MANY = 0.5  # of a rater's answers
HIGH_DISAGREEMENT = 1.5  # times the other raters', beyond noise,
USUAL_DISAGREEMENT = 0.1  # which are taken to differ in so many votes if they differ in fewer
FEWEST_GOLD_RIGHT = 0.75
SLIPS = 1  # wrong gold questions that are forgiven whatever their share


class Behaviour(Record):
    """How a rater answered; shares of the rater's answers."""

    rater: int
    file: str
    answers: int = Field(description="pairs answered, gold questions among them")
    gold_asked: int
    gold_right: int = Field(description="gold questions where the ruined picture was never chosen")
    median_seconds: float | None = Field(description="that a pair was looked at")
    fast: float = Field(description="share answered in under 4 seconds")
    left: float = Field(description="share for which the left picture was more realistic")
    votes_compared: int = Field(description="votes on pairs where the others have a majority")
    votes_differing: int
    others_differ: float | None = Field(description="share of the other raters' votes that differ")

    @property
    def differs(self) -> float:
        """The share of votes that differ from the majority of the others."""
        return self.votes_differing / max(1, self.votes_compared)


class CheckedRater(Behaviour):
    """A rater, and why the answers are left out, if they are."""

    left_out: str | None


def check_raters(
    plan: RatingPlan, answers: Mapping[str, Answers], votes: Votes
) -> tuple[CheckedRater, ...]:
    """Return the raters in the order of the votes."""
    found = [
        CheckedRater(**behaviour.model_dump(), left_out=why_left_out(behaviour))
        for behaviour in _behaviours(plan, answers, votes)
    ]
    return tuple(found)


def why_left_out(found: Behaviour) -> str | None:
    """Name the rule that a rater broke, or None if the answers count."""
    wrong = found.gold_asked - found.gold_right
    if wrong > SLIPS and found.gold_right < FEWEST_GOLD_RIGHT * found.gold_asked:
        return f"only {found.gold_right} of {found.gold_asked} gold questions right"
    least, _ = wilson(found.votes_differing, found.votes_compared)
    usual = found.others_differ
    if usual is None or found.fast <= MANY:
        return None
    if least > HIGH_DISAGREEMENT * max(usual, USUAL_DISAGREEMENT):
        return (
            f"{found.fast:.0%} of answers in under {TOO_FAST_SECONDS:.0f} s, and "
            f"{found.differs:.0%} of votes differ from the others', whose own differ in {usual:.0%}"
        )
    return None


def _behaviours(
    plan: RatingPlan, answers: Mapping[str, Answers], votes: Votes
) -> Iterator[Behaviour]:
    is_gold = np.array([pair.ruined is not None for pair in plan.pairs])
    differing = disagreements(np.where(np.tile(is_gold, 2), MISSING, votes.both))
    right = _gold_right(plan, votes)
    for row, (name, one) in enumerate(answers.items()):
        answered = ~np.isnan(votes.seconds[row])
        times = votes.seconds[row, answered]
        other_differing, other_compared = (differing.sum(axis=0) - differing[row]).tolist()
        yield Behaviour(
            rater=one.rater,
            file=name,
            answers=len(times),
            gold_asked=int((is_gold & answered).sum()),
            gold_right=int((is_gold & answered & right[row]).sum()),
            median_seconds=float(np.median(times)) if len(times) else None,
            fast=float((times < TOO_FAST_SECONDS).mean()) if len(times) else 0.0,
            left=float(votes.left[row]),
            votes_compared=int(differing[row, 1]),
            votes_differing=int(differing[row, 0]),
            others_differ=other_differing / other_compared if other_compared else None,
        )


def _gold_right(plan: RatingPlan, votes: Votes) -> Bool[np.ndarray, "raters pairs"]:
    """Say where a ruined picture was not chosen; that the other one matches is nobody's promise."""
    places = {"first": FIRST, "second": SECOND}
    ruined = np.array([places.get(pair.ruined or "", MISSING) for pair in plan.pairs])
    return (votes.realism != ruined) & (votes.match != ruined)
