"""Print the results of a finished run in a few lines of Markdown.

  python -m pipelines.results runs/demo

All numbers are from the run's report.json, which may be given in its place.
"""

import argparse
import sys
import textwrap
from pathlib import Path

from infra.store import Store
from pipelines.command import arguments, command, printable, program
from schemas.artifacts import REPORT
from schemas.run_report import Report, parse_report, read_report
from schemas.run_report.accuracy_part import SetAccuracy
from schemas.run_report.report_part import Interval
from stages import markdown
from stages.evaluate.checks import amount
from stages.evaluate.formats import NBSP, unbroken
from stages.evaluate.page import in_order, set_title
from stages.models.ranking import CALLED
from stages.storage import reaching

WIDTH = 112


def report_of(run: str) -> Report:
    """Return the report of the newest run under a root, or what a file *.json says.

    Raises ArtifactMissing if the run has none, SchemaMismatch if it is of another version.
    """
    if not run.endswith(".json"):
        return read_report(Store(run).newest(REPORT), f"the report of {run}")
    with reaching(run, "the report"):
        data = Path(run).read_bytes()
    return parse_report(data, run)


def results(report: Report) -> str:
    """Return a table of what the judge found, if there is one, and a paragraph on the rest."""
    prose = _wrapped(f"{_models(report)} {_simplest(report)}")
    accuracy = report.accuracy
    if accuracy is None or not accuracy.sets:
        return prose
    best = f"best of {accuracy.candidates}"
    heads = (
        "prompts",
        f"colour and shape right, {best} by {CALLED[report.samples.rank_by]}",
        "first picture",
        "chance",
        f"everything right, {best}",
    )
    rows = (_row(name, accuracy.sets[name]) for name in in_order(accuracy.sets))
    return f"{markdown.table(heads, rows)}\n\n{prose}"


def _wrapped(text: str) -> str:
    """Break a paragraph into lines, but not between a number and its unit."""
    lines = textwrap.fill(unbroken(text), WIDTH, break_on_hyphens=False, break_long_words=False)
    return lines.replace(NBSP, " ")


def _row(name: str, row: SetAccuracy) -> tuple[str, ...]:
    return (
        printable(set_title(name)).replace("|", "\\|"),
        _share(row.reranked, row.reranked_interval),
        _share(row.single, row.single_interval),
        _percent(row.chance),
        _share(row.whole.reranked, row.whole.reranked_interval),
    )


def _share(share: float, interval: Interval) -> str:
    low, high = interval
    return f"{_percent(share)} ({100 * low:.0f} to {100 * high:.0f})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _models(report: Report) -> str:
    dvae, clip = report.dvae, report.clip
    kind = "validation" if dvae.split == "val" else "training"
    found = (
        f"Of {dvae.pictures:,} {kind} pictures, the dVAE keeps {amount(dvae.psnr_db, 'dB')} in "
        f"{dvae.codes_used} of {dvae.codes:,} codes"
    )
    if clip is None:
        return f"{found}."
    return (
        f"{found}, and CLIP finds the caption of {_percent(clip.r_precision)} (chance is "
        f"{_percent(clip.chance)})."
    )


def _simplest(report: Report) -> str:
    """Say what is not better than the simplest thing that does the same job."""
    rows = report.baselines.compared
    lost = [
        f"{row.part} ({amount(row.ours, row.unit)}, {amount(row.baseline, row.unit)})"
        for row in rows
        if not row.better
    ]
    if not lost:
        return f"All {len(rows)} figures beat those of the simplest thing that does the same job."
    return (
        f"Of {len(rows)} figures, {len(rows) - len(lost)} beat those of the simplest thing that "
        "does the same job; not better, or by no more than luck, are (ours, the simplest): "
        f"{'; '.join(lost)}."
    )


def parser() -> argparse.ArgumentParser:
    line = arguments("results", __doc__)
    line.add_argument("run", help="directory or s3:// address of a run, or its report.json")
    return line


@command(parser)
def main(args: argparse.Namespace) -> None:
    print(results(report_of(args.run)))


if __name__ == "__main__":
    sys.exit(program(main))
