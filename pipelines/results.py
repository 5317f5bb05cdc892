"""Print the results of a finished run in a few lines of Markdown.

  python -m pipelines.results runs/demo

All numbers are from the run's report.json, which may be given in place of the run.
"""

import argparse
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from infra.store import Store
from pipelines.command import arguments, command, printable, program
from schemas.artifacts import REPORT
from schemas.run_report import Report, parse_report, read_report
from schemas.run_report.accuracy_part import Accuracy, SetAccuracy
from schemas.run_report.report_part import Interval
from stages import markdown
from stages.evaluate.checks import amount
from stages.evaluate.page import in_order, set_title
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
    """Return the lines."""
    paragraphs = [*_judged(report.accuracy), _models(report), _simplest(report)]
    return "\n\n".join(
        text if text.startswith("|") else textwrap.fill(text, WIDTH, break_on_hyphens=False)
        for text in paragraphs
    )


def _judged(accuracy: Accuracy | None) -> Iterator[str]:
    """Yield how often drawings are right, in a sentence of the never-seen and in a table."""
    if accuracy is None or not accuracy.sets:
        return
    best = f"best of {accuracy.candidates} by CLIP"
    if unseen := accuracy.sets.get("held_out"):
        yield (
            f"The {best} is right for {unseen.reranked:.0%} of {unseen.prompts} prompts whose "
            f"combination of colour and shape the model never saw; chance is {unseen.chance:.0%}."
        )
    heads = ("prompts", best, "first picture", "chance", "all that is said, best", "chance")
    names = in_order(accuracy.sets)
    yield markdown.table(heads, (_row(name, accuracy.sets[name]) for name in names))


def _row(name: str, row: SetAccuracy) -> tuple[str, ...]:
    return (
        printable(set_title(name)).replace("|", "\\|"),
        _share(row.reranked, row.reranked_interval),
        _share(row.single, row.single_interval),
        f"{100 * row.chance:.0f} %",
        _share(row.whole.reranked, row.whole.reranked_interval),
        f"{100 * row.whole.chance:.0f} %",
    )


def _share(share: float, interval: Interval) -> str:
    low, high = interval
    return f"{100 * share:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


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
        f"{found}, and CLIP finds the caption of {100 * clip.r_precision:.0f} % (chance is "
        f"{100 * clip.chance:.0f} %)."
    )


def _simplest(report: Report) -> str:
    """Say which parts are not better than the simplest thing that does the same job."""
    rows = report.baselines.compared
    lost = [
        f"{row.part} ({amount(row.ours, row.unit)}, {row.simplest} {amount(row.baseline, row.unit)})"
        for row in rows
        if not row.better
    ]
    if not lost:
        return f"All {len(rows)} parts are better than the simplest thing that does the same job."
    return (
        f"Of {len(rows)} parts, {len(rows) - len(lost)} are better than the simplest thing that "
        f"does the same job. Not better: {'; '.join(lost)}."
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
