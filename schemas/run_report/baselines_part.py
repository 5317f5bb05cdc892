"""Beside every learned part, what the simplest thing reaches that does its job."""

from pydantic import Field

from schemas.run_report.models_part import ReconstructionFigures
from schemas.run_report.report_part import Change, Interval, ReportPart


class SsimBeside(ReportPart):
    """Mean structural similarity on the pictures of the dVAE's own validation."""

    ours: float
    kmeans: float


class PatchKmeansFigures(ReconstructionFigures):
    """K-means on patches, with as many codes as the dVAE has."""

    training_pictures: int
    ssim: SsimBeside | None = Field(description="null if the dVAE did not measure its own")


class CodeCountFigures(ReportPart):
    """Nats per code of held-out pictures, by counts over training pictures."""

    training_rows: int
    validation_rows: int
    prior: float | None = Field(description="what the prior reached on these rows, if known")
    uniform: float
    frequency: float
    position: float
    left: float
    neighbours: float = Field(description="after the codes above and left")


class BesideNearest(ReportPart):
    """Shares of prompts for which a drawing, and the nearest training picture, is right."""

    prompts: int
    ours: float
    nearest: float
    standard_error: float | None = Field(description="of the difference")


class FoundBesideNearest(BesideNearest):
    """Shares of pictures of which CLIP finds the prompt."""

    chance: float


class NearestCaptionFigures(ReportPart):
    """Drawings beside the training pictures whose captions are nearest in words."""

    accuracy: dict[str, BesideNearest] = Field(description="by the judge, for each set of prompts")
    whole: dict[str, BesideNearest] = Field({}, description="the same for everything that is said")
    r_precision: FoundBesideNearest | None = Field(description="of the first pictures drawn")


class ChooserShares(ReportPart):
    """How often the candidate that each chooser takes is right."""

    prompts: int
    first: float | None = Field(None, description="of the first candidate drawn")
    first_interval: Interval | None = None
    random: float
    prior_likelihood: float | None = Field(
        None, description="of the candidate that the prior finds likeliest"
    )
    prior_likelihood_interval: Interval | None = None
    clip: float
    clip_interval: Interval | None = None
    both: float | None = Field(None, description="of the best by CLIP and likelihood together")
    both_interval: Interval | None = None
    best_possible: float = Field(description="any candidate is right")
    best_possible_interval: Interval | None = None
    gain: float = Field(description="of CLIP over chance")
    standard_error: float | None = Field(description="of the gain")
    over_likelihood: Change | None = Field(None, description="CLIP's gain over the likelihood's")


class ChooserFigures(ReportPart):
    """Who chooses among the candidates."""

    all: ChooserShares = Field(description="all prompts")
    sets: dict[str, ChooserShares]


class ComparedPart(ReportPart):
    """One number of a learned part, and of the simplest thing that does its job."""

    part: str
    simplest: str
    unit: str
    ours: float
    baseline: float
    standard_error: float | None = Field(description="of the difference, where it is known")
    lower_is_better: bool
    advice: str
    difference: float
    better: bool
    words: str = Field(description="empty for a part that is better")


class Baselines(ReportPart):
    """All that was measured of the simplest things."""

    dvae: PatchKmeansFigures
    prior: CodeCountFigures
    drawing: NearestCaptionFigures
    clip: ChooserFigures | None = Field(description="null without a judge")
    compared: tuple[ComparedPart, ...]
