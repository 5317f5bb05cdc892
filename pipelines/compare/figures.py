"""The figures of a report that runs are compared by, in the report's order."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pipelines.compare import figure_tests
from pipelines.compare.figure_tests import Test
from schemas.run_report import Report
from schemas.run_report.networks_part import PictureSet
from stages.evaluate.page import set_title

Bounds = tuple[float, float]
DISTANT: dict[PictureSet, str] = {  # whose distance from held-out pictures is compared
    "reconstructions": "through the dVAE (rFD)",
    "first": "first pictures drawn",
    "favourite": "favourites",
}


class ComparedFigure(NamedTuple):
    """One number of every run, and how two of them are tested; None if its noise is not known."""

    section: str
    name: str
    unit: str
    values: Sequence[float | None]
    test: Test | None = None
    lower_is_better: bool = False
    intervals: Sequence[Bounds | None] = ()


def figures(reports: Sequence[Report]) -> Iterator[ComparedFigure]:
    """Yield every figure that any of the reports has."""
    yield from _dvae(reports)
    yield from _prior(reports)
    yield from _clip(reports)
    for name in dict.fromkeys(n for r in reports if r.accuracy for n in r.accuracy.sets):
        yield from _set(reports, name)
    yield from _choosers(reports)
    for name in dict.fromkeys(n.network.name for r in reports for n in r.networks if n.distances):
        yield from _distances(reports, name)


def _of(parts: Sequence[Any], key: str) -> list[Any]:
    """Return a field of each part; None where there is no such part."""
    return [None if part is None else getattr(part, key) for part in parts]


def _dvae(reports: Sequence[Report]) -> Iterator[ComparedFigure]:
    section, own = "dVAE: what the codes keep", [r.dvae for r in reports]
    kmeans = [r.baselines.dvae for r in reports]
    ssim = _of(kmeans, "ssim")
    test = figure_tests.reconstructions
    yield ComparedFigure(section, "PSNR", "dB", _of(own, "psnr_db"), test)
    yield ComparedFigure(section, "PSNR, k-means", "dB", _of(kmeans, "psnr_db"))
    yield ComparedFigure(section, "SSIM", "", _of(ssim, "ours"))
    yield ComparedFigure(section, "SSIM, k-means", "", _of(ssim, "kmeans"))
    yield ComparedFigure(section, "codes in use", "codes", _of(own, "codes_used"))
    yield ComparedFigure(section, "their perplexity", "", _of(own, "perplexity"))


def _prior(reports: Sequence[Report]) -> Iterator[ComparedFigure]:
    section, found = "prior: a code of a held-out picture", [r.baselines.prior for r in reports]
    yield ComparedFigure(
        section, "prior", "nats", _of(found, "prior"), figure_tests.nats, lower_is_better=True
    )
    yield ComparedFigure(section, "counts of codes", "nats", _of(found, "neighbours"))


def _clip(reports: Sequence[Report]) -> Iterator[ComparedFigure]:
    section, clips = "CLIP: finds the caption of a picture", [r.clip for r in reports]
    yield ComparedFigure(
        section, "R-precision", "%", _of(clips, "r_precision"), figure_tests.retrieval,
        intervals=_of(clips, "r_precision_interval"),
    )  # fmt: skip
    yield ComparedFigure(section, "chance", "%", _of(clips, "chance"))


def _set(reports: Sequence[Report], kind: str) -> Iterator[ComparedFigure]:
    section = f"drawings: {set_title(kind)}"
    sets = [r.accuracy.sets.get(kind) if r.accuracy else None for r in reports]
    counts = " or ".join(dict.fromkeys(str(one.candidates) for one in sets if one is not None))
    for name, parts, key, hits in (
        ("first picture", sets, "single", "single"),
        (f"best of {counts}", sets, "reranked", "reranked"),
        (f"best of {counts}, whole", _of(sets, "whole"), "reranked", "whole"),
    ):
        yield ComparedFigure(
            section, name, "%", _of(parts, key), figure_tests.drawings(kind, hits),
            intervals=_of(parts, f"{key}_interval"),
        )  # fmt: skip
    yield ComparedFigure(section, "by chance", "%", _of(sets, "chance"))
    choosers = [r.baselines.clip.sets.get(kind) if r.baselines.clip else None for r in reports]
    yield ComparedFigure(section, "a random candidate", "%", _of(choosers, "random"))
    yield ComparedFigure(section, "best possible", "%", _of(choosers, "best_possible"))


def _choosers(reports: Sequence[Report]) -> Iterator[ComparedFigure]:
    section = "all prompts: who chooses among the candidates"
    found = [r.baselines.clip.all if r.baselines.clip else None for r in reports]
    for key, name in (
        ("random", "a random choice"),
        ("prior_likelihood", "the prior's likelihood"),
        ("clip", "CLIP"),
        ("both", "CLIP and likelihood"),
        ("best_possible", "best possible"),
    ):
        yield ComparedFigure(section, name, "%", _of(found, key))


def _distances(reports: Sequence[Report], network: str) -> Iterator[ComparedFigure]:
    section = f"distance from held-out pictures, by {network}"
    for key, name in DISTANT.items():
        found = [figure_tests.distance(report, network, key) for report in reports]
        yield ComparedFigure(
            section, name, "", _of(found, "value"), figure_tests.distances(network, key),
            lower_is_better=True, intervals=_of(found, "interval"),
        )  # fmt: skip
