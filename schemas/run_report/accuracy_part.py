"""Whether drawings show what their prompts say, and how far the judge can be trusted."""

from typing import Literal

from pydantic import Field

from schemas.run_report.report_part import Change, Interval, ReportPart


class JudgedShares(ReportPart):
    """Shares of the first pictures drawn (single) and of the favourites of all (reranked)."""

    single: float
    single_interval: Interval
    reranked: float
    reranked_interval: Interval
    chance: float = Field(description="of the favourites, handed to the set's other prompts")


class AspectAccuracy(JudgedShares):
    """Shares over all statements about one aspect."""

    atoms: int = Field(description="statements")
    there: int = Field(description="statements about shapes that the favourites show at all")
    if_there: float | None = Field(description="share of these; null if there are none")
    if_there_interval: Interval | None


class LengthAccuracy(ReportPart):
    """Favourites for the prompts that say so many things."""

    prompts: int
    whole: float = Field(description="share of prompts of which everything is so")
    whole_interval: Interval
    atoms: float = Field(description="share of single statements")


class FavouriteOfSome(ReportPart):
    """Favourites of the first so many candidates."""

    right: float
    right_interval: Interval
    clip_score: float = Field(description="the mean")


class AccuracyFall(Change):
    """The most significant fall from the favourites of fewer to those of more candidates."""

    fewer: int
    more: int


class CombinationAccuracy(ReportPart):
    """How many prompts that name a combination are right."""

    colour: str
    shape: str
    prompts: int
    single: int
    reranked: int


class SetAccuracy(JudgedShares):
    """One set of prompts; right is a picture with every colour and shape that is named."""

    prompts: int
    combinations: int = Field(description="of colour and shape that the prompts name")
    candidates: int = Field(description="of a prompt")
    gain: Change = Field(description="from single to reranked")
    fall: AccuracyFall | None
    by_candidates: dict[int, FavouriteOfSome]
    by_combination: tuple[CombinationAccuracy, ...] = Field(description="the worst one first")
    whole: JudgedShares = Field(description="prompts of which everything is so")
    by_aspect: dict[str, AspectAccuracy]
    by_length: dict[str, LengthAccuracy] = Field(description="by the number of statements")


class JudgeAudit(ReportPart):
    """How often the judge is right where the truth is known."""

    pictures: int
    world: float = Field(description="share of drawn pictures in which it sees what is there")
    world_interval: Interval
    reconstructions: float = Field(description="the same after the dVAE")
    reconstructions_interval: Interval
    by_aspect: dict[
        Literal["world", "reconstructions"], dict[str, dict[Literal["true", "false"], float]]
    ] = Field(description="shares of true and of false statements that it judges rightly")


class Accuracy(ReportPart):
    """What the judge found in the drawings."""

    sets: dict[str, SetAccuracy] = Field(description="prompts that name a shape, by their set")
    candidates: int = Field(description="of a prompt")
    chance: float = Field(description="of never-seen combinations if there are, else of any set")
    gain: Change | None = Field(description="from single to reranked, over all prompts")
    judge: JudgeAudit
