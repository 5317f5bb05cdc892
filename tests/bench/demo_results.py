"""Keep the results of a demo that has run: a short report.json, README's lines and its picture.

python -m tests.bench.demo_results runs/demo
"""

import re
import sys
from pathlib import Path

from pipelines.results import report_of, results
from schemas.run_report import Report
from schemas.run_report.stages_part import FunnelStep
from tests.bench import readme_pictures

ROOT = Path(__file__).resolve().parents[2]
README, PICTURE = ROOT / "README.md", ROOT / ".assets/demo.png"
KEPT = ROOT / "tests/bench/results/demo.json"
LINES = re.compile(r"(?<=<!-- results:begin)([^\n]*-->\n).*?(?=\n<!-- results:end -->)", re.DOTALL)


def shortened(report: Report) -> Report:
    """Leave out rows of the corpus, single outcomes, and what of stages may name paths."""
    funnel = tuple(map(_without_rows, report.funnel))
    stages = {
        name: stage.model_copy(update={"settings": {}, "health": {}})
        for name, stage in report.stages.items()
    }
    return report.model_copy(update={"funnel": funnel, "stages": stages, "outcomes": None})


def _without_rows(step: FunnelStep) -> FunnelStep:
    reasons = tuple(one.model_copy(update={"examples": ()}) for one in step.reasons)
    return step.model_copy(update={"reasons": reasons})


def main(run: str) -> None:
    report = shortened(report_of(run))
    KEPT.write_text(report.model_dump_json(indent=1) + "\n")
    text, blocks = LINES.subn(lambda mark: mark[1] + results(report), README.read_text())
    assert blocks == 1, "README lost its marks"
    README.write_text(text)
    readme_pictures.draw(run).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
