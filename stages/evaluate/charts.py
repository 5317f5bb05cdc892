"""The report's charts as inline SVG: colours come from the page, so they follow light and dark."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from markupsafe import Markup, escape

from schemas.run_report.accuracy_part import SetAccuracy

Points = Sequence[tuple[float, ...]]  # x and y, or x, y and the interval that y lies in
Judged = Sequence[tuple[str, SetAccuracy]]  # sets of prompts, with their part of the report
LINE_POINTS = 400  # a line of more points is thinned: a page needs no more
LINES = 3  # that a reader can tell apart
KEYS_WIDTH = 306  # that the keys of a line chart have beside each other
KEYS = {"held_out": "never seen", "seen": "seen", "two_shapes": "two shapes"}


class Plot:
    """An x and a y axis in units of the data, and the SVG elements drawn on them."""

    def __init__(
        self, title: str, xs: tuple[float, float], ys: tuple[float, float], width: int, top: int
    ) -> None:
        self.title, self.xs, self.ys, self.top = title, xs, ys, top
        self.width, self.height = width, top + 175
        self.left, self.right, self.bottom = 46.0, width - 16.0, top + 142.0
        self.parts: list[str] = []
        self.text("title", self.left, 16, title)

    def x(self, value: float) -> float:
        share = (value - self.xs[0]) / (self.xs[1] - self.xs[0])
        return self.left + share * (self.right - self.left)

    def y(self, value: float) -> float:
        share = (value - self.ys[0]) / (self.ys[1] - self.ys[0])
        return self.bottom - share * (self.bottom - self.top)

    def path(self, points: Iterable[Sequence[float]]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y, *_ in points)

    def text(self, kind: str, x: float, y: float, words: object) -> None:
        self.parts.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>')

    def axes(self, marks: Mapping[float, object], unit: str, *, percent: bool = False) -> None:
        """Draw a grid at round values of y, and a word at each mark of x."""
        for value in ticks(*self.ys):
            y = f"{self.y(value):.1f}"
            self.parts.append(
                f'<line class="grid" x1="{self.left}" x2="{self.right}" y1="{y}" y2="{y}"/>'
            )
            words = f"{100 * value:.0f} %" if percent else short(value)
            self.text("tick", self.left - 6, self.y(value) + 3, words)
        for value, mark in marks.items():
            self.text("tick mid", self.x(value), self.bottom + 15, mark)
        self.text("tick", self.right, self.bottom + 28, unit)

    def dot(self, index: int, x: float, y: float, radius: float) -> None:
        self.parts.append(f'<circle class="line-{index}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>')


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


def line_chart(
    lines: Mapping[str, Points],
    title: str,
    unit: str = "step",
    *,
    doubling: bool = False,
    counting: bool = False,
    percent: bool = False,
    dashed: Collection[str] = (),
) -> Markup:
    """Draw named lines over one x axis, each in a band of its intervals where these are given.

    Points that are not finite are left out. With `counting` every point has a dot, and the x axis a
    mark at each x; with `doubling` it is logarithmic too. Lines that `dashed` names have dashes.
    """
    counting = counting or doubling
    finite = {
        name: [(math.log2(x) if doubling else x, y, *band) for x, y, *band in _thin(points)
               if math.isfinite(y)]
        for name, points in lines.items()
    }  # fmt: skip
    every = [point for points in finite.values() for point in points]
    xs = sorted({x for x, *_ in every})
    if len(xs) < 1 + counting:
        return Markup("")
    ys = _range([y for _, *values in every for y in values])
    if counting:  # few points: whole steps of the grid
        gap = (ticks(*ys)[1:2] or [ys[1]])[0] - ticks(*ys)[0] or 0.1
        ys = gap * math.floor(ys[0] / gap), gap * math.ceil(ys[1] / gap)
    keyed = counting or len(lines) > 1
    keys = _key_places(list(finite)) if keyed else []
    plot = Plot(title, _range(xs), ys, width=360, top=30 + 18 * (keys[-1][1] + 1 if keys else 0))
    marks = {x: short(2**x if doubling else x) for x in (xs if counting else ticks(*plot.xs))}
    plot.axes(marks, unit, percent=percent)
    for index, (name, points) in enumerate(finite.items()):
        if band := [point for point in points if len(point) == 4]:
            edge = [(x, high) for x, _, _, high in band]
            edge += [(x, low) for x, _, low, _ in reversed(band)]
            plot.parts.append(f'<polygon class="band line-{index}" points="{plot.path(edge)}"/>')
        kind = f"line line-{index}" + (" dashed" if name in dashed else "")
        plot.parts.append(f'<polyline class="{kind}" points="{plot.path(points)}"/>')
        for x, y, *_ in points if counting or len(points) == 1 else ():
            plot.dot(index, plot.x(x), plot.y(y), 2.6)
    for index, (name, (beside, row)) in enumerate(zip(finite, keys, strict=False)):
        plot.dot(index, plot.left + beside + 4, 30 + 18 * row, 3.4)
        plot.text(f"key line-{index}", plot.left + beside + 11, 34 + 18 * row, name)
    return _svg(plot.parts, plot.width, plot.height, title)


def _key_places(names: Sequence[str]) -> list[tuple[float, int]]:
    """Return where the key of each line begins: how far from the left, and in which row."""
    places: list[tuple[float, int]] = []
    beside, row = 0.0, 0
    for name in names:
        length = 26 + 6.2 * len(name)
        if beside and beside + length > KEYS_WIDTH:
            beside, row = 0.0, row + 1
        places.append((beside, row))
        beside += length
    return places


def histogram(heights: Sequence[float], title: str, unit: str) -> Markup:
    """Draw one thin column per value, as a single path so that 8,192 codes stay small."""
    if not len(heights) or max(heights) <= 0:
        return Markup("")
    plot = Plot(title, (0, len(heights)), (0, max(heights)), width=720, top=30)
    steps = "".join(f"V{plot.y(y):.1f}H{plot.x(i + 1):.2f}" for i, y in enumerate(heights))
    path = f"M{plot.left},{plot.bottom}{steps}V{plot.bottom}Z"
    plot.parts.append(f'<path class="columns" d="{path}"/>')
    plot.axes({value: short(value) for value in ticks(0, len(heights))}, unit)
    return _svg(plot.parts, plot.width, plot.height, title)


def accuracy_chart(judged: Judged) -> Markup:
    """Draw reranked, single and chance of each set below each other, with their intervals."""
    rows = [(name, row, key) for name, row in judged for key in ("reranked", "single", "chance")]
    left, right, top, bottom = 190.0, 650.0, 8.0, 8 + 26.0 * len(rows)
    across = (right - left) / 100
    parts = []
    for percent in range(0, 101, 25):
        x = left + percent * across
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text class="tick mid" x="{x}" y="{bottom + 15}">{percent} %</text>')
    for index, (name, row, key) in enumerate(rows):
        y, percent = top + index * 26 + 5, 100 * getattr(row, key)
        label = f"{KEYS.get(name, name.replace('_', ' '))}, {key}"
        kind = "bar" if key == "reranked" else "bar weak"
        parts += [
            f'<text class="label" x="{left - 8}" y="{y + 12}">{escape(label)}</text>',
            f'<rect class="{kind}" x="{left}" y="{y}" width="{percent * across:.1f}" height="16"/>',
            f'<text class="value" x="{right + 8}" y="{y + 12}">{percent:.1f} %</text>',
        ]
        if bounds := getattr(row, f"{key}_interval", None):
            low, high = (left + 100 * bound * across for bound in bounds)
            parts.append(f'<path class="whisker" d="M{low:.1f},{y + 8}H{high:.1f}"/>')
    return _svg(parts, 720, round(bottom + 22), "Judged accuracy with 95 % intervals")


def reranking_charts(judged: Judged) -> list[Markup]:
    """Draw how often the favourite is right, and its CLIP score, by the number of candidates."""
    right, scores = {}, {}
    for name, row in judged[:LINES]:
        key = KEYS.get(name, name)
        found = row.by_candidates.items()
        right[key] = [(n, of.right, *of.right_interval) for n, of in found]
        scores[key] = [(n, of.clip_score) for n, of in found]
    unit = "candidates to choose from"
    return [
        line_chart(right, "the favourite is right", unit, doubling=True, percent=True),
        line_chart(scores, "CLIP's score of it, on average", unit, doubling=True),
    ]


def length_chart(judged: Judged) -> Markup:
    """Draw how often all that a prompt says is so, by how much it says; the last point is open."""
    lines = {
        KEYS.get(name, name): [
            (int(length.partition(" ")[0]), of.whole, *of.whole_interval)
            for length, of in row.by_length.items()
        ]
        for name, row in judged[:LINES]
    }
    unit = "statements in the prompt (the last: or more)"
    return line_chart(lines, "the whole prompt is right", unit, counting=True, percent=True)


def _thin(points: Points) -> Points:
    """Keep at most LINE_POINTS evenly spaced points, the last one among them."""
    if len(points) <= LINE_POINTS:
        return points
    step = (len(points) - 1) / (LINE_POINTS - 1)
    return [points[round(i * step)] for i in range(LINE_POINTS)]


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
