"""The page of an evaluation: one HTML file that needs no network."""

from collections.abc import Iterator, Mapping

from pipelines.score.score_charts import count_charts, radius_charts, shapes_charts
from pipelines.score.score_file import ScoreFile
from pipelines.score.score_rows import (
    Systems,
    all_systems,
    fidelity_table,
    flags,
    sections,
    shapes_table,
    sources,
)
from stages.metrics.reported import Reported
from stages.pages import template


def render_scores(found: ScoreFile, beside: Mapping[str, ScoreFile]) -> str:
    """Return the page for an evaluation, with earlier ones and published rows beside it."""
    systems = all_systems(found, beside)
    return template("pipelines.score", "page.html").render(
        found=found,
        systems=systems,
        sections=[
            (one, radius_charts(found, systems, one.network), count_charts(systems, one.network))
            for one in sections(found, systems)
        ],
        fidelity_table=fidelity_table(systems),
        shapes_table=shapes_table(systems),
        shapes_charts=shapes_charts(systems),
        flags=flags(found),
        sources=sources(found),
        problems=[(whose, problem.sentence) for whose, problem in found.problems],
        numbers=list(_numbers(systems)),
    )


def _numbers(systems: Systems) -> Iterator[tuple[str, ...]]:
    """Yield every value with all that it was made with, as score.json has it."""
    for name, system in systems:
        for value in system.values:
            reference = value.reference
            against = f"{reference.name} ({reference.sha256[:12]})" if reference else ""
            how = {**value.parameters, **({} if value.seed is None else {"seed": value.seed})}
            yield (
                name,
                value.metric.replace("_", " "),
                f"{value.value:.6g}",
                _error(value),
                f"{value.count:,}",
                f"{reference.count:,}" if reference else "",
                f"{value.network.name} ({value.network.sha256[:12]})",
                against,
                "; ".join(f"{key.replace('_', ' ')}: {one}" for key, one in how.items()),
            )


def _error(value: Reported) -> str:
    if value.interval:
        return "{:.6g} to {:.6g}".format(*value.interval)
    return "" if value.standard_error is None else f"± {value.standard_error:.2g}"
