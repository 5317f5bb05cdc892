"""What the manifests of a run's stages say, and the pairs that each stage lost."""

from typing import Any

from pydantic import Field

from schemas.run_report.report_part import ReportPart
from schemas.settings import RankBy


class LostRow(ReportPart):
    """An example of a pair that was lost."""

    key: str | None = None
    url: str | None = None
    caption: str | None = None
    detail: str | None = None


class LostRows(ReportPart):
    """The pairs that were lost for one reason."""

    reason: str
    wanted: str | None = Field(None, description="what the filter's rule asks for")
    rows_in: int | None = Field(None, description="rows that reached the filter's rule")
    rows: int
    examples: tuple[LostRow, ...]


class FunnelStep(ReportPart):
    """One of crawl, filter and encode."""

    stage: str
    rows_in: int
    kept: int
    reasons: tuple[LostRows, ...]


class DrawnCounts(ReportPart):
    """How much was drawn."""

    candidates: int = Field(description="of a prompt")
    prompts: dict[str, int] = Field(description="of each set")
    rank_by: RankBy = Field("clip", description="what chose the favourites: sample.rank_by")


class StageRecord(ReportPart):
    """The manifest of a stage, in short."""

    artifact: str = Field(description="<name>/<fingerprint> under the root")
    settings: dict[str, Any]
    health: dict[str, Any]
    rows_in: int
    rows_out: int
    rejects: dict[str, int]
    seconds: float
    rows_per_second: float


class ReportCheck(ReportPart):
    """One thing that should hold, what was found, and what it means if it does not."""

    what: str
    found: str
    wanted: str
    ok: bool
    meaning: str = Field(description="shown only when it is not ok")
