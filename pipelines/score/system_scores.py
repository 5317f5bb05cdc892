"""The numbers of one system: what its pictures are, beside the reference and beside its captions.

The Frechet distance (of Inception-v3: FID) and the Inception Score are given at every blur radius
(section 3.1 of the paper), all others for unblurred pictures.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.score.caption_set import Caption
from pipelines.score.look import Look
from schemas.errors import ConfigError
from stages.evaluate.intervals import exact
from stages.features import FeatureExtractor, Features
from stages.features.networks import INCEPTION
from stages.metrics.clip_score import clip_score
from stages.metrics.frechet import frechet_at_infinity, frechet_distance
from stages.metrics.frechet_interval import frechet_interval
from stages.metrics.inception_score import inception_score
from stages.metrics.kernel import cmmd, kernel_distance
from stages.metrics.moments import Moments
from stages.metrics.neighbours import density_coverage, precision_recall
from stages.metrics.reported import ReferenceSet, Reported
from stages.models.r_precision import CANDIDATES, r_precision_of_features

SPLITS = 10  # of the Inception Score, as in its paper
NEIGHBOUR, NEIGHBOUR_DENSITY = 3, 5  # k, as in the papers of recall and of coverage
FEWEST = NEIGHBOUR_DENSITY + 1  # pictures of either side
BY_COUNT = ("fid", "fd", "inception_score", "precision", "recall", "density", "coverage", "cmmd")

Parameters = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Setup:
    """What all numbers of an evaluation have in common."""

    radii: Sequence[float]
    side: int
    seed: int
    infinity: bool


@dataclass(frozen=True)
class Version:
    """The reference, whole or without the pictures that overlap the training set."""

    record: ReferenceSet
    moments: Mapping[float, Moments]
    features: Features
    overlap: str | None  # name of the list of what is left out


def versions(found: Look, name: str, overlap: str | None) -> list[Version]:
    """Return the whole reference, and that without overlaps if there is a list of these.

    Raises ConfigError if too few pictures are left for a distance.
    """
    whole = _version(found, name, None)
    return [whole] if overlap is None else [whole, _version(found, name, overlap)]


def _version(found: Look, name: str, overlap: str | None) -> Version:
    rest = overlap is not None and bool(found.left_out)
    kept = found.is_rest if rest else np.ones(len(found.names), bool)
    if kept.sum() < FEWEST:
        less = f" that are not in {overlap}" if overlap else ""
        raise ConfigError(
            f"--reference: wanted at least {FEWEST} readable pictures{less}, found {kept.sum()} in "
            f"'{name}'; give more"
        )
    own = f"{name} without {overlap}" if overlap else name
    return Version(
        ReferenceSet(name=own, sha256=found.sha256(rest=rest), count=int(kept.sum())),
        {radius: one.rest if rest else one.all for radius, one in found.blurred.items()},
        found.features[kept] if rest else found.features,
        overlap,
    )


def measure(
    extractor: FeatureExtractor,
    drawn: Look,
    captions: Sequence[Caption | None],
    references: Sequence[Version],
    setup: Setup,
) -> Iterator[Reported]:
    """Yield every number of one system by one network; raise ConfigError for too few pictures."""
    if len(drawn.names) < FEWEST:
        raise ConfigError(
            f"--pictures: wanted at least {FEWEST} readable pictures, found {len(drawn.names)}; "
            "draw more"
        )
    report = _Reporter(extractor, len(drawn.names), setup)
    for reference in references:
        yield from _frechet(report, drawn, reference)
        yield from _other_distances(report, drawn, reference)
    yield from _of_drawings(report, drawn, captions)


@dataclass(frozen=True)
class _Reporter:
    """Writes down a number with all that it was made with."""

    extractor: FeatureExtractor
    count: int
    setup: Setup

    def __call__(
        self,
        metric: str,
        value: float,
        *,
        error: float | None = None,
        interval: tuple[float, float] | None = None,
        reference: Version | None = None,
        seed: int | None = None,
        **parameters: str | int | float,
    ) -> Reported:
        side = self.setup.side
        pictures = f"centre square, bicubic to {side}" if side else "as they are"
        without = reference.overlap if reference else None
        return Reported(
            metric=metric,
            value=value,
            standard_error=error,
            interval=interval,
            network=self.extractor.network,
            reference=reference.record if reference else None,
            resize=self.extractor.resize,
            count=self.count,
            depends_on_count=metric in BY_COUNT,
            seed=seed,
            parameters={
                "pictures": pictures,
                "convention": self.extractor.convention,
                **({"overlap": without} if without else {}),
                **parameters,
            },
        )


def _frechet(report: _Reporter, drawn: Look, reference: Version) -> Iterator[Reported]:
    name = "fid" if report.extractor.network.name == INCEPTION else "fd"
    seed = report.setup.seed
    for radius, seen in drawn.blurred.items():
        distance = frechet_distance(reference.moments[radius], seen.all)
        yield report(name, distance, reference=reference, blur_radius=radius)
    if report.setup.infinity:
        plain = reference.moments[0]
        estimate = frechet_interval(plain, drawn.features, seed)
        yield report(
            f"{name}_without_bias",
            estimate.without_bias,
            interval=(estimate.low, estimate.high),
            reference=reference,
            seed=seed,
            estimator="halves, interval by bootstrap",
        )
        yield report(
            f"{name}_at_infinity",
            frechet_at_infinity(plain, drawn.features, seed),
            reference=reference,
            seed=seed,
            estimator="line in 1/n (Chong and Forsyth 2020)",
        )


def _other_distances(report: _Reporter, drawn: Look, reference: Version) -> Iterator[Reported]:
    real, seed = reference.features, report.setup.seed
    kid, error = kernel_distance(real, drawn.features, seed)
    yield report("kid", kid, error=error, reference=reference, seed=seed)
    near = precision_recall(real, drawn.features, NEIGHBOUR)
    for name, value in zip(("precision", "recall"), near, strict=True):
        yield report(name, value, reference=reference, k=NEIGHBOUR)
    dense = density_coverage(real, drawn.features, NEIGHBOUR_DENSITY)
    for name, value in zip(("density", "coverage"), dense, strict=True):
        yield report(name, value, reference=reference, k=NEIGHBOUR_DENSITY)
    if report.extractor.embed_texts is not None:
        value, error = cmmd(real, drawn.features)
        yield report("cmmd", value, error=error, reference=reference, estimator="biased")


def _of_drawings(
    report: _Reporter, drawn: Look, captions: Sequence[Caption | None]
) -> Iterator[Reported]:
    """Yield what needs no reference."""
    splits = min(SPLITS, len(drawn.names))
    for radius, seen in drawn.blurred.items():
        if seen.probabilities is not None:
            score, _ = inception_score(seen.probabilities, splits)
            yield report("inception_score", score, blur_radius=radius, splits=splits)
    texts = [caption.text for caption in captions if caption is not None]
    if report.extractor.embed_texts is not None and len(texts) == len(drawn.names):
        embedded = report.extractor.texts(texts)
        value, error = clip_score(drawn.features, embedded)
        yield report("clip_score", value, error=error)
        hits, _ = r_precision_of_features(drawn.features, embedded, texts)
        yield report(
            "r_precision",
            float(hits.mean()),
            interval=exact(int(hits.sum()), len(hits)),
            candidates=min(CANDIDATES, len(set(texts))),
        )
