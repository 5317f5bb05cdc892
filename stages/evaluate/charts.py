"""The report's charts as inline SVG: colours come from the page, so they follow light and dark."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Points = Sequence[tuple[float, float]]
LINE_POINTS = 400  # a line of more points is thinned: a page needs no more


@dataclass(frozen=True)
class Bar:
    """A share with its interval."""

    label: str
    share: float
    low: float
    high: float
    strong: bool = True  # drawn in the accent colour


@dataclass(frozen=True)
class Estimate:
    """A value found for some number of things, with the interval it lies in if that is known."""

    count: int
    value: float
    low: float | None = None
    high: float | None = None


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return about `count` round numbers that cover [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def short(value: float) -> str:
    """Write a number in a few characters: 12000 as 12k, 0.000012 as 1.2e-05."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.2g}"
    if abs(value) >= 10_000:
        return f"{value / 1000:.3g}k"
    return f"{value:.4g}"


def thin(points: Points) -> Points:
    """Keep at most LINE_POINTS evenly spaced points, the last one among them."""
    if len(points) <= LINE_POINTS:
        return points
    step = (len(points) - 1) / (LINE_POINTS - 1)
    return [points[round(i * step)] for i in range(LINE_POINTS)]


def line_chart(lines: Mapping[str, Points], title: str, unit: str = "step") -> Markup:
    """Draw named lines over one x axis; points that are not finite are left out."""
    finite = {
        name: [(x, y) for x, y in thin(points) if math.isfinite(y)]
        for name, points in lines.items()
    }
    every = [point for points in finite.values() for point in points]
    if not every:
        return Markup("")
    x_low, x_high = _range([x for x, _ in every])
    y_low, y_high = _range([y for _, y in every])
    left, right, top, bottom = 46.0, 352.0, 30.0, 172.0

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low)
        up = (y - y_low) / (y_high - y_low)
        return left + across * (right - left), bottom - up * (bottom - top)

    parts = [f'<text class="title" x="{left}" y="16">{escape(title)}</text>']
    for value in ticks(y_low, y_high):
        y = at(x_low, value)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6}" y="{y + 3:.1f}">{short(value)}</text>')
    for value in ticks(x_low, x_high):
        x = at(value, y_low)[0]
        parts.append(f'<text class="tick mid" x="{x:.1f}" y="{bottom + 15}">{short(value)}</text>')
    parts.append(f'<text class="tick" x="{right}" y="{bottom + 28}">{escape(unit)}</text>')
    for index, (name, points) in enumerate(finite.items()):
        path = _path([at(*point) for point in points])
        parts.append(f'<polyline class="line line-{index}" points="{path}"/>')
        if len(finite) > 1:
            across = right - 74 * (len(finite) - index)
            parts.append(
                f'<text class="legend line-{index}" x="{across + 74}" y="16">{escape(name)}</text>'
            )
    return _svg(parts, 360, 205, title)


def doubling_chart(
    lines: Mapping[str, Sequence[Estimate]], title: str, unit: str, *, percent: bool = False
) -> Markup:
    """Draw named lines over counts that double from tick to tick, each with its intervals."""
    every = [estimate for line in lines.values() for estimate in line]
    if len({estimate.count for estimate in every}) < 2:
        return Markup("")
    lows = [e.value if e.low is None else e.low for e in every]
    highs = [e.value if e.high is None else e.high for e in every]
    steps = ticks(min(lows), max(highs))
    gap = steps[1] - steps[0] if len(steps) > 1 else 0.1
    low, high = gap * math.floor(min(lows) / gap), gap * math.ceil(max(highs) / gap)
    last = math.log2(max(estimate.count for estimate in every))
    left, right, top, bottom = 46.0, 352.0, 48.0, 222.0

    def across(count: int) -> float:
        return left + 8 + math.log2(count) / last * (right - left - 16)

    def down(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    parts = [f'<text class="title" x="{left}" y="16">{escape(title)}</text>']
    for value in ticks(low, high):
        words = f"{100 * value:.0f} %" if percent else short(value)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{right}" y1="{down(value):.1f}" '
            f'y2="{down(value):.1f}"/>'
            f'<text class="tick" x="{left - 6}" y="{down(value) + 3:.1f}">{words}</text>'
        )
    for count in sorted({estimate.count for estimate in every}):
        parts.append(
            f'<text class="tick mid" x="{across(count):.1f}" y="{bottom + 15}">{count}</text>'
        )
    parts.append(f'<text class="tick" x="{right}" y="{bottom + 29}">{escape(unit)}</text>')
    beside = left
    for index, (name, line) in enumerate(lines.items()):
        known = [(e.count, e.low, e.high) for e in line if e.low is not None and e.high is not None]
        edge = [(across(n), down(high)) for n, _, high in known]
        edge += [(across(n), down(low)) for n, low, _ in reversed(known)]
        parts.append(f'<polygon class="band line-{index}" points="{_path(edge)}"/>')
        points = [(across(e.count), down(e.value)) for e in line]
        parts.append(f'<polyline class="line line-{index}" points="{_path(points)}"/>')
        parts += [
            f'<circle class="line-{index}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in points
        ]
        parts.append(f'<circle class="line-{index}" cx="{beside + 4}" cy="30" r="3.4"/>')
        parts.append(
            f'<text class="key line-{index}" x="{beside + 11}" y="34">{escape(name)}</text>'
        )
        beside += 26 + 6.2 * len(name)
    return _svg(parts, 360, 256, title)


def histogram(heights: Sequence[float], title: str, unit: str) -> Markup:
    """Draw one thin column per value, as a single path so that 8,192 codes stay small."""
    if not len(heights) or max(heights) <= 0:
        return Markup("")
    left, right, top, bottom = 46.0, 712.0, 30.0, 172.0
    width, peak = (right - left) / len(heights), max(heights)
    steps = [f"M{left},{bottom}"]
    for index, height in enumerate(heights):
        y = bottom - height / peak * (bottom - top)
        steps.append(f"V{y:.1f}H{left + (index + 1) * width:.2f}")
    steps.append(f"V{bottom}Z")
    parts = [f'<text class="title" x="{left}" y="16">{escape(title)}</text>']
    for value in ticks(0, peak):
        y = bottom - value / peak * (bottom - top)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6}" y="{y + 3:.1f}">{short(value)}</text>')
    parts.append(f'<path class="columns" d="{"".join(steps)}"/>')
    for value in ticks(0, len(heights)):
        x = left + value * width
        parts.append(f'<text class="tick mid" x="{x:.1f}" y="{bottom + 15}">{short(value)}</text>')
    parts.append(f'<text class="tick" x="{right}" y="{bottom + 28}">{escape(unit)}</text>')
    return _svg(parts, 720, 205, title)


def share_bars(bars: Sequence[Bar], title: str) -> Markup:
    """Draw shares as bars from 0 to 100 %, each with a whisker for its interval."""
    left, right, top, row = 190.0, 650.0, 8.0, 26.0
    bottom = top + row * len(bars)
    parts = []
    for percent in range(0, 101, 25):
        x = left + percent / 100 * (right - left)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text class="tick mid" x="{x}" y="{bottom + 15}">{percent} %</text>')
    for index, bar in enumerate(bars):
        y = top + index * row + 5
        end, low, high = (left + s * (right - left) for s in (bar.share, bar.low, bar.high))
        kind = "bar" if bar.strong else "bar weak"
        parts.append(f'<text class="label" x="{left - 8}" y="{y + 12}">{escape(bar.label)}</text>')
        parts.append(
            f'<rect class="{kind}" x="{left}" y="{y}" width="{end - left:.1f}" height="16"/>'
        )
        if bar.high > bar.low:
            parts.append(f'<path class="whisker" d="M{low:.1f},{y + 8}H{high:.1f}"/>')
        parts.append(
            f'<text class="value" x="{right + 8}" y="{y + 12}">{100 * bar.share:.1f} %</text>'
        )
    return _svg(parts, 720, round(bottom + 22), title)


def _path(points: Points) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:  # one point or a flat line still needs an axis
        return low - 0.5, high + 0.5
    return low, high


def _svg(parts: Sequence[str], width: int, height: int, title: str) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )
