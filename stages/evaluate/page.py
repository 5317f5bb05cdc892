"""The report as one HTML file that needs no network: pictures and charts are inside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from schemas.artifacts import METRICS
from schemas.run_report import Report
from schemas.run_report.baselines_part import ChooserFigures, ChooserShares
from stages import shapes
from stages.evaluate.alarms import alarms
from stages.evaluate.charts import (
    Points,
    accuracy_chart,
    histogram,
    length_chart,
    line_chart,
    reranking_charts,
)
from stages.evaluate.checks import harm
from stages.evaluate.combinations import grid, worst
from stages.evaluate.formats import FILTERS, percent
from stages.models.ranking import CALLED
from stages.numbers import duration
from stages.pages import is_small, template
from stages.pictures import Pixels

SETS = {
    "held_out": "Combinations never seen in training",
    "seen": "Combinations seen in training",
    "two_shapes": "Two shapes, each in its own colour",
    "validation": "Validation captions",
}
SECTIONS = {
    "drawn": "Drawn from captions",
    "accuracy": "Does it draw what it is told?",
    "simplest": "Beside the simplest thing",
    "networks": "Does it copy?",
    "checks": "Checks",
    "funnel": "The funnel of pairs",
    "dvae": "What the codes keep",
    "training": "Training",
    "stages": "Stages, settings, versions",
}
# What each section was measured on, as stages and their files, and its part of report.json.
SOURCES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "drawn": ("samples", (("sample", "table/"),)),
    "accuracy": ("accuracy", (("sample", "table/"), ("train_dvae", ""))),
    "simplest": (
        "baselines",
        (("filter", "train/"), ("filter", "val/"), ("encode", ""), ("sample", "table/")),
    ),
    "networks": (
        "networks",
        (("filter", "train/"), ("filter", "val/"), ("sample", "table/"), ("train_clip", "")),
    ),
    "funnel": ("funnel", (("crawl", ""), ("filter", ""), ("encode", ""))),
    "dvae": ("dvae", (("filter", "val/"), ("train_dvae", ""))),
    "training": (
        "",
        tuple((stage, METRICS) for stage in ("train_dvae", "train_prior", "train_clip")),
    ),
}
ASPECTS = {  # what a prompt says, and what is asked of the picture
    "shape": "a shape is there, in its colour",
    "size": "it is small, or large",
    "place": "it is at the top, on the left, ...",
    "relation": "it is above, to the left of, ... another",
    "count": "there are as many shapes as it says, and no more",
}
PICTURE_SETS = {  # whose distance from held-out pictures is measured
    "training": "training pictures: the floor",
    "reconstructions": "reconstructions of the held-out pictures (rFD)",
    "nearest": "training pictures of the nearest captions",
    "first": "the first pictures drawn",
    "favourite": "the favourites",
}
CHOOSERS = {  # who takes one of the candidates
    "first": "the first drawn",
    "prior_likelihood": "the prior's likelihood",
    "clip": "CLIP",
    "both": "both",
    "best_possible": "best possible",
}
VALIDATION = "validation_"  # before the name of what training measures too
PACE = {  # schedules and speed in a training log, not what was learned
    *("beta", "temperature", "learning_rate", "gradient_norm", "skipped_updates"),
    *("rows_per_second", "tokens_per_second", "waiting_share"),
    *("model_flop_utilisation", "peak_flops", "peak_memory_gib", "cores", "cores_wanted"),
}
UNFOLDED = 6  # prompts of a set; a click shows the others


@dataclass(frozen=True)
class Shown:
    """A drawn picture on the page; `wrong` is None if no judge looked at it."""

    pixels: Pixels
    score: float
    wrong: Sequence[str] | None  # aspects in which it is not as the prompt says


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt and its favourites, best first."""

    text: str
    pictures: Sequence[Shown]


@dataclass(frozen=True)
class SuspectPair:
    """A drawing beside the training picture that it is closest to."""

    prompt: str
    drawn: Pixels
    caption: str  # of the training picture
    training: Pixels
    distance: float


@dataclass(frozen=True)
class Gallery:
    """All the pictures of the page."""

    drawn: Mapping[str, Sequence[ShownPrompt]] = field(default_factory=dict)  # by set
    reconstructed: Sequence[tuple[str, Pixels, Pixels]] = ()  # caption, original, reconstruction
    code_counts: Sequence[int] = ()
    training: Mapping[str, Mapping[str, Points]] = field(default_factory=dict)
    suspects: Sequence[Sequence[SuspectPair]] = ()  # by each feature network


def render(report: Report, gallery: Gallery) -> str:
    """Return the page for the numbers of report.json and the pictures behind them."""
    sets = {} if report.accuracy is None else report.accuracy.sets
    judged = [(name, sets[name]) for name in in_order(sets)]
    hidden = (set() if judged else {"accuracy"}) | (set() if report.networks else {"networks"})
    compared = report.baselines.compared
    parts = {row.part for row in compared}  # said first, so not again among what is weak
    weak = [check for check in report.checks if not check.ok and check.what not in parts]
    bad = [check for check in alarms(report) if check in weak]  # said first, too
    originals = (original for _, original, _ in gallery.reconstructed)
    return template("stages.evaluate", "page.html", *FILTERS, set_title).render(
        report=report,
        gallery=gallery,
        made_in=duration(sum(report.seconds.values())),
        unfolded=UNFOLDED,
        sections=[item for item in SECTIONS.items() if item[0] not in hidden],
        sources={anchor: sources(report, anchor) for anchor in SOURCES},
        tiles=tiles(report),
        candidates=report.samples.candidates,
        ranked_by=CALLED[report.samples.rank_by],
        sets=[(set_title(name), gallery.drawn[name]) for name in in_order(gallery.drawn)],
        judged=judged,
        counts=list(judged[0][1].by_candidates) if judged else [],
        combinations=[
            f"{set_title(name)}: {_of(row.prompts, 'prompt')} of "
            f"{_of(row.combinations, 'combination')}; {worst(row)}"
            for name, row in judged
        ],
        grid=grid(judged),
        shapes=shapes.SHAPES,
        harm=[harm(name, row) for name, row in judged if row.gain.share < 0],
        accuracy_chart=accuracy_chart(judged),
        reranking_charts=reranking_charts(judged),
        aspects=ASPECTS,
        networks=list(zip(report.networks, gallery.suspects, strict=True)),
        picture_sets=PICTURE_SETS,
        length_chart=length_chart(judged),
        rendering="pixelated" if all(map(is_small, originals)) else "auto",
        code_chart=histogram(sorted(gallery.code_counts, reverse=True), "uses of a code", "codes"),
        training=[_training(name, lines) for name, lines in gallery.training.items() if lines],
        bad=bad,
        weak=[check for check in weak if check not in bad],
        choosers=_choosers(report.baselines.clip),
        chooser_columns=CHOOSERS,
        lost=[row for row in compared if not row.better],
    )


def _of(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _choosers(found: ChooserFigures | None) -> list[tuple[str, ChooserShares]]:
    """Return the rows of the table of choosers: each set of prompts, then all."""
    if found is None:
        return []
    rows = [(set_title(name), found.sets[name]) for name in in_order(found.sets)]
    return [*rows, ("All prompts", found.all)]


def sources(report: Report, anchor: str) -> tuple[str, list[str]]:
    """Return the part of report.json that a section shows, and the files it was measured on."""
    part, files = SOURCES[anchor]
    stages = report.stages
    return part, [f"{stages[name].artifact}/{file}" for name, file in files if name in stages]


def tiles(report: Report) -> list[tuple[str, str]]:
    """Return the few numbers that a reader wants first, each with its label."""
    funnel, dvae = report.funnel, report.dvae
    found = [
        (f"{funnel[1].kept:,}", f"pairs kept of {funnel[0].rows_in:,} listed"),
        (f"{dvae.codes_used:,}", f"of {dvae.codes:,} codes in use"),
        (f"{dvae.psnr_db:.1f} dB", "PSNR of reconstructions"),
    ]
    held_out = None if report.accuracy is None else report.accuracy.sets.get("held_out")
    if held_out is None:
        return found
    best = f"right for combinations never seen, best of {held_out.candidates}"
    return [
        (percent(held_out.reranked), best),
        (percent(held_out.single), "right without reranking"),
        (percent(held_out.whole.reranked), "right in everything the prompt says, best of all"),
        (percent(held_out.chance), "right by chance"),
        *found,
    ]


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


def set_title(name: str) -> str:
    """Return what a set of prompts is called in a heading."""
    return SETS.get(name, name.replace("_", " "))


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of sets, those of the demo's world first."""
    known = list(SETS)
    return sorted(names, key=lambda n: (known.index(n) if n in SETS else len(known), n))
