"""report.json: everything that evaluate measures of a run, as typed parts with a version.

`Report.model_json_schema()` is its JSON Schema. A part is a class of this package and a field of
`Report`; the code that measures it, in stages/evaluate/, returns an object of that class:

    class CopyFigures(ReportPart):
        share: float = Field(description="of drawings that are nearer than held-out pictures")
        share_interval: Interval

    class Report(ReportPart):
        copies: CopyFigures | None = Field(None, description="null where none was looked for")

A field that is added later has a default, so that reports without it can still be read. Where a
field goes, or comes to mean something else, `VERSION` is raised, and older reports are refused.
"""

import json
from typing import Literal

from pydantic import Field, ValidationError

from schemas.artifacts import REPORT_JSON
from schemas.errors import SchemaMismatch
from schemas.folder import Folder
from schemas.run_report.accuracy_part import Accuracy
from schemas.run_report.baselines_part import Baselines
from schemas.run_report.models_part import DvaeFigures, RetrievalFigures
from schemas.run_report.networks_part import NetworkFigures
from schemas.run_report.outcomes_part import Outcomes
from schemas.run_report.report_part import ReportPart
from schemas.run_report.stages_part import DrawnCounts, FunnelStep, ReportCheck, StageRecord
from schemas.run_report.training_part import HeldOutLoss

VERSION: Literal[1] = 1
MEND = "make it again with this release (pipelines/full.py --root ROOT --only evaluate)"


class Report(ReportPart):
    """What report.json holds."""

    version: Literal[1] = VERSION
    accuracy: Accuracy | None = Field(description="null without a judge")
    dvae: DvaeFigures
    clip: RetrievalFigures | None = Field(description="null without validation pictures")
    samples: DrawnCounts
    funnel: tuple[FunnelStep, ...] = Field(description="crawl, filter, encode")
    seconds: dict[str, float] = Field(description="that each stage took")
    stages: dict[str, StageRecord]
    versions: dict[str, str] = Field(description="of libraries")
    networks: tuple[NetworkFigures, ...] = Field((), description="what feature networks see")
    prior: HeldOutLoss | None = Field(None, description="null where it was not validated")
    baselines: Baselines
    checks: tuple[ReportCheck, ...]
    outcomes: Outcomes | None = Field(
        None, description="null in reports of revisions before 10 of evaluate"
    )


def read_report(folder: Folder, name: str = REPORT_JSON) -> Report:
    """Return the report of a finished `report` artifact; `name` is what an error calls it.

    Raises SchemaMismatch for another version, and for what is no report of ours.
    """
    with folder.open(REPORT_JSON) as file:
        return parse_report(file.read(), name)


def parse_report(data: bytes, name: str) -> Report:
    """Return what a report.json says; `name` is what it is called in an error."""
    try:
        found = json.loads(data)
    except ValueError:
        raise SchemaMismatch(f"wanted JSON in {name}, found none; {MEND}") from None
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        called = "none" if version is None else f"{version}"
        raise SchemaMismatch(f"wanted version {VERSION} of {name}, found {called:.20}; {MEND}")
    try:
        return Report.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200]
        raise SchemaMismatch(
            f"wanted a report in {name}, found something else ({said}); {MEND}"
        ) from None
