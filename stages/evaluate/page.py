"""The report as one HTML file that needs no network: pictures and charts are inside it."""

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from stages import shapes
from stages.evaluate.accuracy_charts import accuracy_chart, reranking_charts
from stages.evaluate.accuracy_checks import harm, is_set
from stages.evaluate.charts import Points, histogram, line_chart
from stages.evaluate.combinations import grid, worst
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
PACE = {  # of a training log: how it went, not what was learned
    *("beta", "temperature", "step_size", "gradient_norm", "skipped_updates"),
    *("rows_per_second", "tokens_per_second", "waiting_share"),
    *("model_flop_utilisation", "peak_flops", "peak_memory_gib"),
}
PROMPTS_AT_ONCE = 6  # of a set; the others unfold
VALUE_LENGTH = 200  # characters of one setting or measurement
SHOWN_SIDE = 256  # larger pictures are shrunk to this on the page


@dataclass(frozen=True)
class Shown:
    """A drawn picture on the page; `right` is None where nobody judged."""

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
    }  # fmt: skip
    accuracy = report["accuracy"]
    judged = _judged(accuracy)
    hidden = set() if judged else {"accuracy"}
    return environment.get_template("page.html").render(
        report=report,
        made_in=duration(report["seconds"]),
        at_once=PROMPTS_AT_ONCE,
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
        rendering="pixelated" if _is_pixel_art(gallery) else "auto",
        pairs=[
            {"caption": caption, "original": uri(one), "reconstruction": uri(other)}
            for caption, one, other in gallery.reconstructed
        ],
        code_chart=histogram(sorted(gallery.code_counts, reverse=True), "uses of a code", "codes"),
        training=[_training(name, lines) for name, lines in gallery.training.items() if lines],
        weak=[check for check in report["checks"] if not check["good"]],
        stages=[_stage(name, stage) for name, stage in report["stages"].items()],
    )


def percent(share: float) -> str:
    """Write a share for people."""
    return f"{100 * share:.1f}{NBSP}%"


def interval(bounds: Sequence[float]) -> str:
    """Write an interval of shares for people."""
    return f"{100 * bounds[0]:.0f}\N{EN DASH}{100 * bounds[1]:.0f}{NBSP}%"


def points(gain: Mapping[str, float | None]) -> str:
    """Write by how much a share changed, without its sign, for people."""
    error = gain["standard_error"]
    share = f"{100 * abs(gain['share'] or 0):.1f}"
    return share if error is None else f"{share} ± {100 * error:.1f}"


def change(gain: Mapping[str, float | None]) -> str:
    """Write by how much a share changed and its standard error, for a table."""
    sign = "-" if (gain["share"] or 0) < 0 else "+"
    return sign + points(gain)


def _of(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def duration(seconds: Mapping[str, float]) -> str:
    """Write the sum of the stages' times for people."""
    total = round(sum(seconds.values()))
    hours, minutes = divmod(total // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {total % 60} s"


def tiles(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the few numbers that a reader wants first."""
    funnel, dvae, held_out = report["funnel"], report["dvae"], report["accuracy"].get("held_out")
    found = [
        (f"{funnel[1]['kept']:,}", f"pairs kept of {funnel[0]['rows_in']:,} listed"),
        (f"{dvae['codes_used']:,}", f"of {dvae['codes']:,} codes in use"),
        (f"{dvae['psnr_db']:.1f} dB", "PSNR of reconstructions"),
    ]
    if held_out:
        found = [
            (
                percent(held_out["reranked"]),
                f"right for combinations never seen, best of {held_out['candidates']}",
            ),
            (percent(held_out["single"]), "right without reranking"),
            (percent(held_out["chance"]), "by chance"),
            *found,
        ]
    return [{"value": value, "label": label} for value, label in found]


def _judged(accuracy: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the sets of prompts that were judged, those of the demo's world first."""
    order = [*SETS, *sorted(accuracy.keys() - SETS.keys())]
    return [(name, accuracy[name]) for name in order if is_set(accuracy.get(name))]


def _training(name: str, lines: Mapping[str, Points]) -> dict[str, Any]:
    """Draw one chart per quantity; schedules and speed apart from what was learned."""
    together: dict[str, dict[str, Points]] = {}
    for key, points in lines.items():
        quantity = key.removeprefix(VALIDATION)
        side = "training" if key == quantity else "validation"
        together.setdefault(quantity, {})[side] = points
    charts = {key: line_chart(both, key.replace("_", " ")) for key, both in together.items()}
    aside = PACE | {
        key for key, points in lines.items() if len({y for _, y in points}) == 1 < len(points)
    }
    return {
        "name": name,
        "learned": [chart for key, chart in charts.items() if key not in aside],
        "pace": [chart for key, chart in charts.items() if key in aside],
    }


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


def _is_pixel_art(gallery: Gallery) -> bool:
    originals = (original for _, original, _ in gallery.reconstructed)
    return all(is_small(pixels) for pixels in originals)


def _sets(drawn: Sequence[ShownPrompt]) -> list[dict[str, Any]]:
    by_set: dict[str, list[dict[str, Any]]] = {}
    for prompt in drawn:
        pictures = [
            {"uri": uri(shown.pixels), "score": shown.score, "right": shown.right}
            for shown in prompt.pictures
        ]
        by_set.setdefault(prompt.set, []).append({"text": prompt.text, "pictures": pictures})
    order = [*SETS, *sorted(by_set.keys() - SETS.keys())]
    return [
        {"title": SETS.get(name, name.replace("_", " ")), "prompts": by_set[name]}
        for name in order
        if name in by_set
    ]


def _stage(name: str, stage: Mapping[str, Any]) -> dict[str, Any]:
    details = [*_flat(stage["settings"], ""), *_flat(stage["health"], "measured ")]
    return {
        "name": name,
        "artifact": stage["artifact"],
        "rows_in": stage["rows_in"],
        "rows_out": stage["rows_out"],
        "rejects": sum(stage["rejects"].values()),
        "seconds": stage["seconds"],
        "rate": stage["rows_per_second"],
        "details": details,
    }


def _flat(tree: Mapping[str, Any], before: str) -> list[tuple[str, str]]:
    found = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", textwrap.shorten(str(value), VALUE_LENGTH)))
    return found


def _template(name: str) -> str:
    return (resources.files("stages.evaluate") / name).read_text(encoding="utf-8")
