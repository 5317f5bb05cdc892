"""What feature networks see of the drawings: how far they are from real pictures, and copies."""

from typing import Literal

from pydantic import Field

from schemas.metric_value import FeatureNetwork, Reported
from schemas.run_report.report_part import Interval, ReportPart

PictureSet = Literal["training", "reconstructions", "nearest", "first", "favourite"]
Criterion = Literal["closer_than_any", "closer_than_1st_percentile", "as_close_as_planted"]


class DistanceFromHeldOut(ReportPart):
    """The Frechet distance of one set of pictures from the held-out ones."""

    at_count: Reported
    without_bias: Reported = Field(description="at infinitely many pictures, with its interval")


class CopyShare(ReportPart):
    """Pictures that are closer to a training picture than a criterion allows."""

    share: float
    interval: Interval


class SuspectDrawing(ReportPart):
    """A drawing, and the training picture that it is closest to."""

    prompt: str
    caption: str = Field(description="of the training picture")
    distance: float = Field(description="of their features")


class CopyFigures(ReportPart):
    """Whether drawings are closer to training pictures than held-out pictures, which copy none."""

    training_pictures: int = Field(description="that were looked at, the first ones")
    held_out_pictures: int
    near_duplicates: int = Field(
        0,
        description="held-out pictures whose hashes are near those of training pictures: without "
        "them thresholds are set, unless they are more than three of four",
    )
    thresholds: dict[Criterion, float] = Field(
        description="distances: of held-out pictures the smallest and the 1st percentile; and "
        "the 99th of planted copies, of the kind that is farthest from its originals, or half way "
        "from there to the 1st of held-out pictures if that is above"
    )
    held_out: dict[Criterion, CopyShare] = Field({}, description="all held-out pictures: by chance")
    drawings: int = Field(description="a picture for each prompt")
    drawn: dict[PictureSet, dict[Criterion, CopyShare]] = Field(description="first, favourite")
    planted_pictures: int = Field(description="copies that were made of each kind")
    planted: dict[str, dict[Criterion, float]] = Field(
        description="share found, by kind of copy: of each half, with thresholds by the other"
    )
    false_alarms: dict[Criterion, float] = Field(
        description="held-out pictures that are no near duplicates, tried in the same way"
    )
    suspects: tuple[SuspectDrawing, ...] = Field(description="favourites, the closest first")
    words: str = Field(description="what the shares mean")


class NetworkFigures(ReportPart):
    """All that one feature network measured."""

    network: FeatureNetwork
    distances: dict[PictureSet, DistanceFromHeldOut] = Field(
        description="of equally many pictures; none of sets with fewer than four, nor by thumbnails"
    )
    copies: CopyFigures | None = Field(
        description="null without held-out pictures or drawings, and for the run's own CLIP"
    )
