"""Each learned part beside its baseline: the rows of a table, with a sentence for each defeat.

A part is better if the difference is more than LUCK of its standard errors, where these are known.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from schemas.run_report.baselines_part import (
    Baselines,
    ChooserFigures,
    CodeCountFigures,
    ComparedPart,
    NearestCaptionFigures,
    PatchKmeansFigures,
)
from schemas.run_report.models_part import DvaeFigures
from schemas.run_report.networks_part import NetworkFigures
from stages.evaluate.advice import Advice
from stages.evaluate.checks import amount, called
from stages.evaluate.intervals import LUCK, error_of

PATCHES = "k-means on patches"
COUNTS = "counting the codes above and left"
NEAREST = "the training picture of the nearest caption"
CHANCE = "a random choice"
LIKELIEST = "the picture that the prior finds likeliest"


@dataclass(frozen=True)
class Comparison:
    """One number of a learned part, and of the simplest thing that does its job."""

    part: str
    simplest: str
    unit: str
    ours: float
    baseline: float
    standard_error: float | None = None  # of the difference, where it is known
    lower_is_better: bool = False
    advice: str = ""  # for a part that is not better

    def row(self) -> ComparedPart:
        """Return the row of `report.json`."""
        return ComparedPart(
            **asdict(self),
            difference=self.ours - self.baseline,
            better=self.better,
            words="" if self.better else self._words(),
        )

    @property
    def better(self) -> bool:
        """Say whether ours is better by more than luck; what is not a number is not."""
        return self.gain > 0 and self.gain > LUCK * (self.standard_error or 0)

    @property
    def gain(self) -> float:
        """Return by how much ours is better; below 0, it is worse."""
        return self.baseline - self.ours if self.lower_is_better else self.ours - self.baseline

    def _words(self) -> str:
        ours, baseline = amount(self.ours, self.unit), amount(self.baseline, self.unit)
        numbers = f"{self.simplest[0].upper()}{self.simplest[1:]} has {baseline}, ours {ours}"
        if self.gain > 0:
            return f"{numbers}: the difference may be luck."
        return f"{numbers}. {self.advice}"


def compared(
    ours: DvaeFigures,
    candidates: int,
    measured: Baselines,
    advice: Advice,
    networks: Sequence[NetworkFigures] = (),
) -> tuple[ComparedPart, ...]:
    """Return a row for each learned part that has numbers in `measured` or by `networks`."""
    rows = [
        *_dvae(ours, measured.dvae, advice),
        *_prior(measured.prior, advice),
        *_drawing(measured.drawing),
        *(row for network in networks for row in _distance(network)),
        *_chooser(measured.clip, candidates, advice),
    ]
    return tuple(row.row() for row in rows)


def _dvae(ours: DvaeFigures, kmeans: PatchKmeansFigures, advice: Advice) -> Iterator[Comparison]:
    said = (
        "So a table of average patches keeps more of a picture than the network does: "
        f"{advice.codes_like_kmeans()}."
    )
    psnr = ours.psnr_db, kmeans.psnr_db
    yield Comparison("dVAE: reconstruction", PATCHES, "dB", *psnr, advice=said)
    if kmeans.ssim is not None:
        ssim = kmeans.ssim.ours, kmeans.ssim.kmeans
        yield Comparison("dVAE: SSIM", PATCHES, "", *ssim, advice=said)


def _prior(found: CodeCountFigures, advice: Advice) -> Iterator[Comparison]:
    if found.prior is not None:
        yield Comparison(
            "prior: a code of a held-out picture", COUNTS, "nats", found.prior,
            found.neighbours, lower_is_better=True,
            advice="So the transformer has learned no more of a picture than the neighbours of a "
            f"code tell, and nothing of the caption: {advice.better_prior()}.",
        )  # fmt: skip


def _drawing(found: NearestCaptionFigures) -> Iterator[Comparison]:
    advice = "So looking such a picture up does as well as drawing it."
    parts = {f"drawing: right, {called(name)}": row for name, row in found.accuracy.items()}
    parts |= {
        f"drawing: the whole prompt, {called(name)}": row for name, row in found.whole.items()
    }
    if found.r_precision is not None:
        parts["drawing: CLIP finds the prompt of the first picture"] = found.r_precision
    for part, row in parts.items():
        yield Comparison(
            part, NEAREST, "%", row.ours, row.nearest, row.standard_error, advice=advice
        )


def _distance(found: NetworkFigures) -> Iterator[Comparison]:
    """Compare distances without bias: intervals are known of these, and so how far luck goes."""
    first, nearest = found.distances.get("first"), found.distances.get("nearest")
    if first is not None and nearest is not None:
        ours, theirs = first.without_bias, nearest.without_bias
        yield Comparison(
            f"drawing: distance of the first pictures from held-out ones, by {found.network.name}",
            NEAREST, "", ours.value, theirs.value, math.hypot(error_of(ours), error_of(theirs)),
            lower_is_better=True,
            advice="A picture that was looked up is a real one, so drawings can hardly be closer; "
            "the difference says how unlike real pictures they are.",
        )  # fmt: skip


def _chooser(found: ChooserFigures | None, candidates: int, advice: Advice) -> Iterator[Comparison]:
    if found is None or candidates == 1:
        return
    better = advice.other_ranking(found)
    every, part = found.all, f"CLIP: its favourite of {candidates} is right"
    yield Comparison(
        part, CHANCE, "%", every.clip, every.random, every.standard_error,
        advice="So drawing one picture does as well as drawing many and having CLIP choose.",
    )  # fmt: skip
    if every.prior_likelihood is not None and every.over_likelihood is not None:
        yield Comparison(
            part, LIKELIEST, "%", every.clip, every.prior_likelihood,
            every.over_likelihood.standard_error,
            advice="So the prior chooses as well by itself"
            f"{'' if better is None else f': {better}'}.",
        )  # fmt: skip
