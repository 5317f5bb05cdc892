"""How the prior's loss on held-out rows went while that on training rows fell."""

from pydantic import Field

from schemas.run_report.report_part import ReportPart


class HeldOutLoss(ReportPart):
    """Nats per code of held-out pictures where they were fewest, and at the end."""

    lowest: float
    lowest_step: int
    last: float
    training_at_lowest: float = Field(description="nats per code of training pictures at that step")
    training_last: float
    kept_step: int | None = Field(None, description="of the best weights; null: the last ones")
