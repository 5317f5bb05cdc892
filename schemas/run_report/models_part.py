"""The figures of the dVAE and of CLIP on pictures that neither learned from."""

from pydantic import Field

from schemas.run_report.report_part import Interval, ReportPart


class ReconstructionFigures(ReportPart):
    """How much of the pictures the codes of a tokenizer keep."""

    pictures: int
    positions: int = Field(description="codes of all these pictures")
    codes: int = Field(description="of the codebook")
    codes_used: int
    perplexity: float
    psnr_db: float
    mean_colour_psnr_db: float = Field(description="of one flat colour for each picture")


class DvaeFigures(ReconstructionFigures):
    """The run's dVAE."""

    split: str = Field(description="of the clean pairs: val, or train where val is empty")


class RetrievalFigures(ReportPart):
    """R-precision of CLIP: the share of pictures whose own caption it scores highest."""

    r_precision: float
    r_precision_interval: Interval
    pictures: int
    captions: int
    chance: float
    by_luck: float = Field(description="found when pictures swap captions")
