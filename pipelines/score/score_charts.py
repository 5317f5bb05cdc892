"""The curves of figure 9: by the blur radius beside published ones, and by N, the best of which.

Paper: section 3.1, figure 9(a) to (c), which draws FID and IS.
"""

from collections import defaultdict
from collections.abc import Sequence

from markupsafe import Markup

from pipelines.score.score_file import ScoreFile, System, best_of
from pipelines.score.score_rows import BY_RADIUS, Systems, published_values
from stages.evaluate.charts import Points, line_chart
from stages.metrics.reported import FeatureNetwork, Reported

PUBLISHED = "published"
BY_COUNT = {
    "fid": "FID by N",
    "fd": "Frechet distance by N",
    "inception_score": "Inception Score by N",
    "clip_score": "CLIP score by N",
    "r_precision": "R-precision by N",
}
UNIT = "N: each picture is the best of so many"


def radius_charts(found: ScoreFile, systems: Systems, network: FeatureNetwork) -> list[Markup]:
    """Draw the distance and the Inception Score of each system by the blur radius."""
    charts = []
    for metric, title in BY_RADIUS.items():
        lines = {name: _over_radii(_plain(one, network, metric)) for name, one in systems}
        ours = {name: curve for name, curve in lines.items() if curve}
        papers = {
            f"{row.system} ({PUBLISHED})": sorted(published_values(row, metric).items())
            for row in found.published
            if ours and published_values(row, metric)
        }
        both: dict[str, Points] = {**ours, **papers}
        short, _, better = title.partition(", ")
        unit = f"blur radius; {better}"
        charts.append(line_chart(both, short, unit, counting=True, dashed=papers))
    return [chart for chart in charts if chart]


def count_charts(systems: Systems, network: FeatureNetwork) -> list[Markup]:
    """Draw each metric of unblurred pictures by N, if there are several."""
    charts = []
    for metric, title in BY_COUNT.items():
        points = [_unblurred(system, network, metric) for _, system in systems]
        charts.append(line_chart(_by_count(systems, points), title, UNIT, doubling=True))
    return [chart for chart in charts if chart]


def shapes_charts(systems: Systems) -> list[Markup]:
    """Draw by N how many drawings show what their captions say, if there are several."""
    charts = []
    titles = {"right": "colour and shape right, by N", "whole": "everything right, by N"}
    for part, title in titles.items():
        curves = _by_count(systems, [_shown(system, part) for _, system in systems])
        charts.append(line_chart(curves, title, UNIT, doubling=True, percent=True))
    return [chart for chart in charts if chart]


def _plain(system: System, network: FeatureNetwork, metric: str) -> list[Reported]:
    """Return the values of a metric against the whole reference."""
    return [
        value
        for value in system.values
        if (value.network, value.metric) == (network, metric) and "overlap" not in value.parameters
    ]


def _over_radii(values: Sequence[Reported]) -> Points:
    return [(float(value.parameters["blur_radius"]), value.value) for value in values]


def _unblurred(system: System, network: FeatureNetwork, metric: str) -> tuple[float, ...] | None:
    """Return a value of unblurred pictures, with its interval if it has one."""
    for value in _plain(system, network, metric):
        if not value.parameters.get("blur_radius"):
            return (value.value, *(value.interval or ()))
    return None


def _shown(system: System, part: str) -> tuple[float, ...] | None:
    if system.shown is None:
        return None
    share: float = getattr(system.shown, part)
    return (share, *getattr(system.shown, f"{part}_interval"))


def _by_count(systems: Systems, points: Sequence[tuple[float, ...] | None]) -> dict[str, Points]:
    """Return the curve of each system, from its value at each number of candidates."""
    curves: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for (name, system), point in zip(systems, points, strict=True):
        if point is not None:
            curves[name.replace(best_of(system), "")].append((system.best_of, *point))
    return {name: sorted(curve) for name, curve in curves.items()}
