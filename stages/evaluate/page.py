"""The report as one HTML file that needs no network: pictures and charts are inside it."""

import base64
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from stages import shapes
from stages.evaluate.charts import (
    Judged,
    Points,
    accuracy_chart,
    histogram,
    line_chart,
    reranking_charts,
)
from stages.evaluate.checks import harm, is_set
from stages.evaluate.combinations import grid, worst
from stages.numbers import duration
from stages.pictures import Pixels, encode_png

SETS = {
    "held_out": "Combinations never seen in training",
    "seen": "Combinations seen in training",
    "two_shapes": "Two shapes, each in its own colour",
    "validation": "Validation captions",
}
SECTIONS = {
    "drawn": "Drawn from captions",
    "accuracy": "Does it draw what it is told?",
    "checks": "Checks",
    "funnel": "The funnel of pairs",
    "dvae": "What the codes keep",
    "training": "Training",
    "stages": "Stages, settings, versions",
}
NBSP = "\N{NO-BREAK SPACE}"
PIXEL_ART_SIDE = 96  # pictures up to here are enlarged as crisp squares, and kept lossless
VALIDATION = "validation_"  # before the name of what training measures too
PACE = {  # schedules and speed in a training log, not what was learned
    *("beta", "temperature", "learning_rate", "gradient_norm", "skipped_updates"),
    *("rows_per_second", "tokens_per_second", "waiting_share"),
    *("model_flop_utilisation", "peak_flops", "peak_memory_gib"),
}
UNFOLDED = 6  # prompts of a set; a click shows the others
VALUE_LENGTH = 200  # characters of one setting or measurement
SHOWN_SIDE = 256  # larger pictures are shrunk to this on the page


@dataclass(frozen=True)
class Shown:
    """A drawn picture on the page; `right` is None if no judge looked at it."""

    pixels: Pixels
    score: float
    right: bool | None


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt and CLIP's favourites, best first."""

    text: str
    set: str
    pictures: Sequence[Shown]


@dataclass(frozen=True)
class Gallery:
    """All the pictures of the page."""

    drawn: Sequence[ShownPrompt] = ()
    reconstructed: Sequence[tuple[str, Pixels, Pixels]] = ()  # caption, original, reconstruction
    code_counts: Sequence[int] = ()
    training: Mapping[str, Mapping[str, Points]] = field(default_factory=dict)


def render(report: Mapping[str, Any], gallery: Gallery) -> str:
    """Return the page for the numbers of report.json and the pictures behind them."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent, "interval": interval, "points": points, "change": change,
        "uri": uri, "flat": flat,
    }  # fmt: skip
    judged = _judged(report["accuracy"])
    hidden = set() if judged else {"accuracy"}
    originals = (original for _, original, _ in gallery.reconstructed)
    return environment.get_template("page.html").render(
        report=report,
        gallery=gallery,
        made_in=duration(sum(report["seconds"].values())),
        unfolded=UNFOLDED,
        sections=[item for item in SECTIONS.items() if item[0] not in hidden],
        tiles=tiles(report),
        candidates=report["samples"]["candidates"],
        sets=_sets(gallery.drawn),
        set_titles=SETS,
        judged=judged,
        counts=list(judged[0][1]["by_candidates"]) if judged else [],
        combinations=[
            f"{SETS.get(name, name)}: {_of(row['prompts'], 'prompt')} of "
            f"{_of(row['combinations'], 'combination')}; {worst(row)}"
            for name, row in judged
        ],
        grid=grid(judged),
        shapes=shapes.SHAPES,
        harm=[harm(name, row) for name, row in judged if row["gain"]["share"] < 0],
        accuracy_chart=accuracy_chart(judged),
        reranking_charts=reranking_charts(judged),
        rendering="pixelated" if all(map(is_small, originals)) else "auto",
        code_chart=histogram(sorted(gallery.code_counts, reverse=True), "uses of a code", "codes"),
        training=[_training(name, lines) for name, lines in gallery.training.items() if lines],
        weak=[check for check in report["checks"] if not check["ok"]],
    )


def percent(share: float) -> str:
    """Format a share as a percentage."""
    return f"{100 * share:.1f}{NBSP}%"


def interval(bounds: Sequence[float]) -> str:
    """Format an interval of shares."""
    return f"{100 * bounds[0]:.0f}\N{EN DASH}{100 * bounds[1]:.0f}{NBSP}%"


def points(gain: Mapping[str, float | None]) -> str:
    """Format the size of a change in points, with its standard error if known."""
    error = gain["standard_error"]
    share = f"{100 * abs(gain['share'] or 0):.1f}"
    return share if error is None else f"{share} ± {100 * error:.1f}"


def change(gain: Mapping[str, float | None]) -> str:
    """Format a change in points with its sign."""
    sign = "-" if (gain["share"] or 0) < 0 else "+"
    return sign + points(gain)


def _of(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def tiles(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the few numbers that a reader wants first, each with its label."""
    funnel, dvae, held_out = report["funnel"], report["dvae"], report["accuracy"].get("held_out")
    found = [
        (f"{funnel[1]['kept']:,}", f"pairs kept of {funnel[0]['rows_in']:,} listed"),
        (f"{dvae['codes_used']:,}", f"of {dvae['codes']:,} codes in use"),
        (f"{dvae['psnr_db']:.1f} dB", "PSNR of reconstructions"),
    ]
    if not held_out:
        return found
    best = f"right for combinations never seen, best of {held_out['candidates']}"
    return [
        (percent(held_out["reranked"]), best),
        (percent(held_out["single"]), "right without reranking"),
        (percent(held_out["chance"]), "by chance"),
        *found,
    ]


def _judged(accuracy: Mapping[str, Any]) -> Judged:
    """Return the sets of prompts that were judged, those of the demo's world first."""
    return [(name, accuracy[name]) for name in _in_order(accuracy) if is_set(accuracy[name])]


def _training(name: str, lines: Mapping[str, Points]) -> tuple[str, list[Markup], list[Markup]]:
    """Return a chart per quantity: what was learned, then schedules, speed and constants."""
    both: dict[str, dict[str, Points]] = {}
    for key, points in lines.items():
        quantity = key.removeprefix(VALIDATION)
        side = "training" if key == quantity else "validation"
        both.setdefault(quantity, {})[side] = points
    charts = {key: line_chart(sides, key.replace("_", " ")) for key, sides in both.items()}
    pace = PACE | {
        key for key, points in lines.items() if len({y for _, y in points}) == 1 < len(points)
    }
    learned = [chart for key, chart in charts.items() if key not in pace]
    return name, learned, [chart for key, chart in charts.items() if key in pace]


def uri(pixels: Pixels) -> str:
    """Put a picture into a data: address; small ones lossless, larger ones as JPEG."""
    if is_small(pixels):
        return _data("image/png", encode_png(pixels))
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    image.save(file, "JPEG", quality=90)
    return _data("image/jpeg", file.getvalue())


def _data(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def is_small(pixels: Pixels) -> bool:
    """Say whether a picture is enlarged as crisp squares rather than smoothly."""
    return max(np.shape(pixels)[:2]) <= PIXEL_ART_SIDE


def _sets(drawn: Sequence[ShownPrompt]) -> list[tuple[str, list[ShownPrompt]]]:
    """Return the prompts of each set under its title, those of the demo's world first."""
    by_set: dict[str, list[ShownPrompt]] = {}
    for prompt in drawn:
        by_set.setdefault(prompt.set, []).append(prompt)
    return [(SETS.get(n, n.replace("_", " ")), by_set[n]) for n in _in_order(by_set)]


def _in_order(names: Iterable[str]) -> list[str]:
    known = list(SETS)
    return sorted(names, key=lambda n: (known.index(n) if n in SETS else len(known), n))


def flat(tree: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return the leaves of a tree as dotted names and short texts."""
    found = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found += flat(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", textwrap.shorten(str(value), VALUE_LENGTH)))
    return found


def _template(name: str) -> str:
    return (resources.files("stages.evaluate") / name).read_text(encoding="utf-8")
