"""The comparison as one HTML file that needs no network: charts and pictures are inside it."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from markupsafe import Markup

from pipelines.compare.compared_runs import ComparedRun
from pipelines.compare.comparison_file import RunComparison
from pipelines.compare.comparison_table import (
    KINDS,
    NOISE,
    bounds,
    number,
    per_second,
    reasons,
    summary,
)
from pipelines.compare.same_prompts import SharedPrompt
from schemas.artifacts import CLIP, DVAE, PRIOR, Artifact
from stages.evaluate.charts import Points, line_chart
from stages.evaluate.page import PACE, VALIDATION, set_title
from stages.evaluate.reading import curves, metrics
from stages.numbers import duration
from stages.pages import is_small, template

TRAINED = (DVAE, PRIOR, CLIP)
Charts = list[tuple[str, list[Markup], list[Markup]]]  # of a training: what it learned, its pace


def render_comparison(
    found: RunComparison, runs: Sequence[ComparedRun], prompts: Sequence[SharedPrompt]
) -> str:
    """Return the page."""
    tested, beyond = summary(found.figures, found.tested)
    return template("pipelines.compare", "page.html").render(
        found=found,
        tested=tested,
        beyond=beyond,
        noise=NOISE,
        kinds=[
            (title, [row for row in found.settings if row.kind == kind])
            for kind, title in KINDS.items()
        ],
        figures=[(name, list(rows)) for name, rows in groupby(found.figures, lambda r: r.section)],
        reasons=reasons(found),
        methods=sorted({v.how for row in found.figures for v in row.verdicts if v.p is not None}),
        training=overlaid(runs),
        shared={a.name for a in TRAINED if len({_address(run, a) for run in runs}) == 1},
        sets=[(set_title(name), list(own)) for name, own in groupby(prompts, lambda p: p.set)],
        rendering=_rendering(prompts),
        number=number,
        bounds=bounds,
        duration=duration,
        per_second=per_second,
    )


def _address(run: ComparedRun, artifact: Artifact) -> str:
    """Return the address of an artifact of a run; its letter if it has none."""
    found = (each for each in run.artifacts.values() if each.startswith(f"{artifact.name}/"))
    return next(found, run.letter)


def overlaid(runs: Sequence[ComparedRun]) -> Charts:
    """Draw each quantity of each training, a line for each run whose log is at hand."""
    found = []
    for artifact in TRAINED:
        logs = {run.letter: run.folder(artifact) for run in runs}
        lines = {name: curves(metrics(log)) if log else {} for name, log in logs.items()}
        names = sorted({name for of_run in lines.values() for name in of_run}, key=_place)
        charts = {name: _chart(name, lines) for name in names}
        pace = PACE | {name for name in names if _is_constant(name, lines)}
        learned = [charts[name] for name in names if name not in pace]
        if charts:
            found.append((artifact.name, learned, [charts[n] for n in names if n in pace]))
    return found


def _is_constant(name: str, lines: Mapping[str, Mapping[str, Points]]) -> bool:
    found = [[y for _, y, *_ in of_run.get(name, [])] for of_run in lines.values()]
    return all(len(set(ys)) < 2 for ys in found) and any(len(ys) > 1 for ys in found)


def _place(name: str) -> tuple[str, bool]:
    """Put what validation measured beside the same of training, before it."""
    return name.removeprefix(VALIDATION), not name.startswith(VALIDATION)


def _chart(name: str, lines: Mapping[str, Mapping[str, Points]]) -> Markup:
    own = {letter: of_run.get(name, []) for letter, of_run in lines.items()}
    return line_chart(own, name.replace("_", " "))


def _rendering(prompts: Sequence[SharedPrompt]) -> str:
    crisp = all(is_small(picture) for prompt in prompts for picture in prompt.pictures)
    return "pixelated" if crisp else "auto"
