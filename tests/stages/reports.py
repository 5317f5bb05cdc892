"""A small report, and judgements to make one of."""

import numpy as np

from schemas.run_report import Report
from schemas.run_report.accuracy_part import Accuracy
from schemas.run_report.baselines_part import Baselines, ChooserShares
from schemas.run_report.models_part import DvaeFigures
from schemas.run_report.networks_part import NetworkFigures
from schemas.run_report.report_part import Change
from stages import shapes
from stages.evaluate.accuracy import accuracy, gain
from stages.evaluate.advice import Advice
from stages.evaluate.baselines.comparison import compared
from stages.evaluate.checks import checks
from stages.evaluate.judgements import Judgement
from stages.evaluate.reconstructions import Reconstructions

ADVICE = Advice.of({}, None)  # for a run with the default settings

RED_STAR, BLUE_RING = shapes.ShapeKind("red", "star"), shapes.ShapeKind("blue", "ring")


def centred(*kinds):
    """Shapes of these kinds, as the judge would see them in the middle of a picture."""
    return [shapes.SeenShape(kind, x=0.5, y=0.5, radius=0.25) for kind in kinds]


def judgement(prompt, single, best, kind="held_out", score=0.5):
    """Make one of which the pictures show these kinds, in the middle."""
    single, best = centred(*single), centred(*best)
    scores = {1: score - 0.25, 2: score}
    return Judgement(prompt, kind, single, {1: single, 2: best}, scores, {0: single, 1: best})


FOUR_RIGHT = [judgement("a red star", [RED_STAR], [RED_STAR]) for _ in range(4)]


# What baselines measured: k-means lost, counts won, prompts of one set were looked up better.
SIMPLEST = Baselines.model_validate(
    {
        "dvae": {
            "training_pictures": 9, "ssim": {"ours": 0.5, "kmeans": 0.4}, "pictures": 9,
            "positions": 144, "codes": 128, "codes_used": 3, "perplexity": 1.5, "psnr_db": 15.5,
            "mean_colour_psnr_db": 15.0,
        },
        "prior": {
            "training_rows": 9, "validation_rows": 9, "prior": 0.5, "uniform": 4.9,
            "frequency": 0.7, "position": 0.6, "left": 0.5, "neighbours": 0.45,
        },
        "drawing": {
            "accuracy": {
                "held_out": {"prompts": 4, "ours": 1.0, "nearest": 0.0, "standard_error": None},
                "seen": {"prompts": 4, "ours": 0.75, "nearest": 1.0, "standard_error": 0.1},
            },
            "r_precision": None,
        },
        "clip": None,
        "compared": (),
    }
)  # fmt: skip
CHOSEN = ChooserShares(
    prompts=4, random=0.7, prior_likelihood=0.79, clip=0.8, best_possible=0.9, gain=0.1,
    standard_error=0.05, over_likelihood=Change(share=0.01, standard_error=0.05),
)  # fmt: skip


def small_report(judgements=FOUR_RIGHT):
    uses = np.array([142, 1, 1] + [0] * 125)
    figures = Reconstructions(9, [], uses, 16.0, 15.0).figures()
    dvae = DvaeFigures(split="val", **figures.model_dump())
    judge = {
        "pictures": 8, "world": 1.0, "world_interval": (0.9, 1.0),
        "reconstructions": 0.5, "reconstructions_interval": (0.2, 0.8),
        "by_aspect": {
            on: {aspect: {"true": share, "false": 1.0} for aspect in shapes.ASPECTS}
            for on, share in (("world", 1.0), ("reconstructions", 0.625))
        },
    }  # fmt: skip
    example = {"url": "http://127.0.0.1:1/<img src=x onerror=alert(1)>.png", "caption": "a & b"}
    stage = {
        "artifact": "dvae/0123", "settings": {"fit": {"steps": 3}}, "health": {"a": 1},
        "rows_in": 9, "rows_out": 9, "rejects": {}, "seconds": 1.0, "rows_per_second": 9.0,
    }  # fmt: skip
    report = Report(
        accuracy=Accuracy(
            sets=accuracy(judgements), gain=gain(judgements), candidates=2, chance=1.0, judge=judge
        ),
        dvae=dvae,
        clip={
            "r_precision": 0.5, "r_precision_interval": (0.3, 0.7), "pictures": 9, "captions": 9,
            "chance": 1 / 9, "by_luck": 0.3,
        },
        samples={"candidates": 2, "prompts": {"held_out": 4}},
        funnel=(
            {"stage": "crawl", "rows_in": 12, "kept": 9,
             "reasons": ({"reason": "http_404", "rows": 3, "examples": (example,)},)},
            {"stage": "filter", "rows_in": 9, "kept": 9, "reasons": ()},
            {"stage": "encode", "rows_in": 9, "kept": 9, "reasons": ()},
        ),
        seconds={"crawl": 61.0},
        stages={"train_dvae": stage},
        versions={"torch": "2"},
        baselines=SIMPLEST.model_copy(update={"compared": compared(dvae, 2, SIMPLEST, ADVICE)}),
        checks=(),
    )  # fmt: skip
    return report.model_copy(update={"checks": checks(report)})


NETWORK = {"name": "a network", "sha256": "0" * 64}


def distance(value, error):
    """A Frechet distance that is known to within some standard errors."""
    common = {
        "network": NETWORK, "resize": {"method": "none", "antialias": False, "side": 64},
        "count": 24, "depends_on_count": True,
    }  # fmt: skip
    spread = (value - 1.96 * error, value + 1.96 * error)
    return {
        "at_count": {"metric": "fd", "value": value, **common},
        "without_bias": {"metric": "fd", "value": value, "interval": spread, **common},
    }


def network(error=0.001, **values):
    """What a network says of sets of pictures, each so far from held-out ones."""
    found = {name: distance(value, error) for name, value in values.items()}
    return NetworkFigures(network=NETWORK, distances=found, copies=None)
