"""compare.json: what was found, for programs."""

from typing import Literal

from pydantic import Field

from pipelines.compare.setting_rows import DifferingRow
from schemas.manifest import Record

FORMAT: Literal["dalle-ray comparison"] = "dalle-ray comparison"
FoundOut = Literal[
    "beyond noise", "not beyond noise", "no difference", "no noise known", "not compared"
]


class RunRecord(Record):
    """One of the runs."""

    letter: str
    place: str
    report_sha256: str
    finished_at: str | None = Field(description="null where only report.json is at hand")
    preset: str = Field(description="the nearest one, by the settings")
    artifacts: dict[str, str] = Field(description="<name>/<fingerprint> by stage")


class NoiseVerdict(Record):
    """What is known of the difference between the first run and another, in one figure."""

    run: str = Field(description="letter of the other run")
    finding: FoundOut
    better: str | None = Field(None, description="letter of the better run, if beyond noise")
    difference: float | None = Field(None, description="of the other run to the first")
    p: float | None = Field(None, description="of this comparison alone")
    p_together: float | None = Field(None, description="corrected for all of them (Holm 1979)")
    how: str = Field("", description="the test, with its reference; or why there is none")
    items: int | None = Field(None, description="that were compared")
    items_that_differ: int | None = None

    @property
    def words(self) -> str:
        """Say it in at most twenty characters or so."""
        if self.p_together is None or self.better is None:
            return self.finding
        p = "p < 0.001" if self.p_together < 0.001 else f"p = {self.p_together:.3f}"
        return f"{self.better} better, {p}"


class FigureRow(Record):
    """One figure of all runs."""

    section: str
    name: str
    unit: str
    values: tuple[float | None, ...]
    intervals: tuple[tuple[float, float] | None, ...] = Field(description="of 95 %, if known")
    verdicts: tuple[NoiseVerdict, ...] = Field(description="each other run against the first")


class StageRow(Record):
    """One stage of all runs. Machines differ, so nobody is called faster."""

    stage: str
    same_artifact: bool
    rows_out: tuple[int | None, ...]
    seconds: tuple[float | None, ...]
    rows_per_second: tuple[float | None, ...]
    health: dict[str, tuple[str, ...]] = Field(description="what the stage measured, if it differs")


class RunComparison(Record):
    """The whole file."""

    format: Literal["dalle-ray comparison"] = FORMAT
    version: Literal[1] = 1
    runs: tuple[RunRecord, ...]
    settings: tuple[DifferingRow, ...]
    code: tuple[DifferingRow, ...]
    figures: tuple[FigureRow, ...]
    checks: tuple[DifferingRow, ...] = Field(description="that hold in some runs only")
    stages: tuple[StageRow, ...]
    numbers: dict[str, tuple[str, ...]] = Field(description="all that differ in the reports")
    alpha: float = Field(description="bound of p_together")
    tested: int = Field(description="comparisons that are corrected for each other")
