"""How long the metrics of 30,000 pictures of 2,048 features take, and how much memory they need.

`python -m tests.bench.metrics [pictures] [features]`. The features come in batches and are kept in
float32, as a network gives them; memory is what a metric needs beside them. Precision and coverage
are of the first 10,000.
"""

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from stages.metrics.frechet import frechet_at_infinity, frechet_distance
from stages.metrics.frechet_interval import frechet_interval
from stages.metrics.inception_score import inception_score, probabilities_of
from stages.metrics.kernel import cmmd, kernel_distance
from stages.metrics.moments import Moments
from stages.metrics.neighbours import density_coverage, precision_recall
from tests.bench.near import measured

PICTURES, FEATURES, BATCH = 30_000, 2_048, 500
NEIGHBOURS = 10_000
CLASSES, CLIP_WIDTH = 1_008, 768


def features(seed: int, pictures: int, width: int) -> np.ndarray:
    """Draw positive features that are correlated, with a spectrum that falls as Inception's."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((width, width), np.float32)
    mix *= np.arange(1, width + 1, dtype=np.float32)[:, None] ** -0.7
    found = np.empty((pictures, width), np.float32)
    for start in range(0, pictures, BATCH):
        part = found[start : start + BATCH]
        part[:] = np.maximum(rng.standard_normal(part.shape, np.float32) @ mix + 0.1 * seed, 0)
    return found


def streamed(real: np.ndarray, drawn: np.ndarray) -> float:
    """Return the Frechet distance of two sets that come batch by batch."""
    moments = Moments(), Moments()
    for one, table in zip(moments, (real, drawn), strict=True):
        for start in range(0, len(table), BATCH):
            one.add(table[start : start + BATCH])
    return frechet_distance(*moments)


def shown(name: str, work: Callable[[], object]) -> None:
    started = time.perf_counter()
    value, cpu, grown = measured(work)
    wall = time.perf_counter() - started
    print(f"{name}: {wall:.1f} s ({cpu:.1f} CPU s), {grown:.2f} GiB more memory; {value}")


def main(pictures: int = PICTURES, width: int = FEATURES) -> None:
    real, drawn = features(0, pictures, width), features(1, pictures, width)
    reference, few = Moments.of(real), min(NEIGHBOURS, pictures)
    print(f"{pictures:,} pictures of {width:,} features on each side")
    works = {
        "Frechet distance, streamed": partial(streamed, real, drawn),
        "its interval": partial(frechet_interval, reference, drawn, 0),
        "at infinitely many": partial(frechet_at_infinity, reference, drawn, 0),
        "KID": partial(kernel_distance, real, drawn, 0),
        f"CMMD, {few:,} of {CLIP_WIDTH}": partial(
            cmmd, real[:few, :CLIP_WIDTH], drawn[:few, :CLIP_WIDTH]
        ),
        "Inception Score": lambda: inception_score(probabilities_of(drawn[:, :CLASSES]), 10),
        f"precision and recall, {few:,}": partial(precision_recall, real[:few], drawn[:few], 3),
        f"density and coverage, {few:,}": partial(density_coverage, real[:few], drawn[:few], 5),
    }
    for name, work in works.items():
        shown(name, work)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
