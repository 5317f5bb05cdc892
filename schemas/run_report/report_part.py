"""What every part of report.json is made of."""

from typing import Annotated

from pydantic import ConfigDict, Field

from schemas.manifest import Record

Interval = Annotated[tuple[float, float], Field(description="of 95 %: its low and high end")]


class ReportPart(Record):
    """Base of the report's parts: immutable, unknown fields and numbers that are none refused."""

    model_config = ConfigDict(allow_inf_nan=False)


class Change(ReportPart):
    """A mean change of a share, paired by prompt."""

    share: float
    standard_error: float | None = Field(description="null for fewer than two combinations")
