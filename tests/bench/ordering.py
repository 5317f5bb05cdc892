"""Whether metrics put known cases into the right order, by a run's CLIP and on its drawings.

`python -m tests.bench.ordering --root RUN` prints a line for each metric and order, and ends with 1
if one is wrong. Distances are from 1,000 real pictures of the demo's world (or half of the stamps
of Debian's tuxpaint-stamps-default, where they are installed; a network that knows pictures looks
at these, where picture_network.py finds one):

* other real pictures < these through the run's dVAE < through k-means with 16 codes; of stamps,
  which the dVAE never saw, k-means with 1,024 codes is the good tokenizer
* other real pictures < these blurred by 1 pixel < 2 < 4
* CLIP score and R-precision: captions of other pictures < their own
* CLIP score and the judge's accuracy: the first drawing < the favourite of all
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
import torch

from infra.store import Store
from schemas.artifacts import CLIP, DVAE, SAMPLES
from schemas.folder import Folder, Inputs
from stages import shapes
from stages.evaluate.judgements import judged
from stages.evaluate.reading import prompts
from stages.evaluate.reconstructions import TILE, Tokenizer
from stages.features import FeatureExtractor, Features
from stages.features.networks import clip_of_run
from stages.metrics.blur import gaussian_blur
from stages.metrics.clip_score import clip_score
from stages.metrics.frechet import frechet_distance
from stages.metrics.kernel import cmmd, kernel_distance_of_all
from stages.metrics.moments import Moments
from stages.metrics.neighbours import density_coverage
from stages.models.patch_kmeans import PatchKmeans
from stages.models.r_precision import r_precision
from stages.pictures import Pixels, crop_centre
from stages.pictures.tensors import from_tensor, to_tensor
from stages.weights import DvaeConfig, load_dvae, read_config
from tests.bench import dvae_quality, picture_network

COUNT = 1_000  # pictures on either side
PATCH = 8  # pixels of a side of k-means' squares, as the paper's codes have
RADII = (1, 2, 4)
PROMPTS = 256

DISTANCES: Mapping[str, Callable[[Features, Features], float]] = {
    "Frechet distance": lambda real, other: frechet_distance(Moments.of(real), Moments.of(other)),
    "KID": lambda real, other: kernel_distance_of_all(real, other)[0],
    "CMMD": lambda real, other: cmmd(real, other)[0],
    "1 - coverage": lambda real, other: 1 - density_coverage(real, other, 5)[1],
}


class Chain(NamedTuple):
    """Cases that a metric must rank in this order, the lowest value first."""

    metric: str
    values: Mapping[str, float]

    @property
    def holds(self) -> bool:
        return all(low < high for low, high in pairwise(self.values.values()))

    def line(self) -> str:
        chain = " < ".join(f"{name} {value:.4g}" for name, value in self.values.items())
        return f"{'right' if self.holds else 'WRONG':6} {self.metric:17} {chain}"


def distances(
    see: Callable[[Sequence[Pixels]], Features], sets: Mapping[str, Sequence[Pixels]]
) -> Iterator[Chain]:
    """Yield a chain for each distance, from the first set to each of the others."""
    reference, *others = (see(pictures) for pictures in sets.values())
    for metric, distance in DISTANCES.items():
        found = (distance(reference, other) for other in others)
        yield Chain(metric, dict(zip(list(sets)[1:], found, strict=True)))


def through(tokenizer: Tokenizer, pictures: Sequence[Pixels]) -> list[Pixels]:
    """Return what a dVAE or k-means leaves of pictures."""
    tiles = (to_tensor(list(pictures[i : i + TILE])) for i in range(0, len(pictures), TILE))
    with torch.inference_mode():
        return [p for tile in tiles for p in from_tensor(tokenizer.decode(tokenizer.codes(tile)))]


def kmeans(pictures: Sequence[Pixels], codes: int) -> PatchKmeans:
    return PatchKmeans.of(torch.from_numpy(np.stack(pictures)), PATCH, codes)


def of_pictures(
    extractor: FeatureExtractor,
    pictures: Sequence[Pixels],
    good: Callable[[Sequence[Pixels]], Tokenizer],
) -> Iterator[Chain]:
    """Yield what distances say of half of the pictures; the other half is the reference."""
    reference, others = pictures[::2], pictures[1::2]

    def see(some: Sequence[Pixels]) -> Features:
        return extractor.see(some).features

    codes = {
        "reference": reference,
        "real": others,
        "good tokenizer": through(good(reference), others),
        "16 codes": through(kmeans(reference, 16), others),
    }
    blurs = {f"blurred by {r}": [gaussian_blur(one, r) for one in others] for r in RADII}
    yield from distances(see, codes)
    yield from distances(see, {"reference": reference, "sharp": others, **blurs})


def of_captions(extractor: FeatureExtractor, side: int) -> Iterator[Chain]:
    scenes = [shapes.scene(3, number) for number in range(COUNT)]
    captions = [one.caption for one in scenes]
    pictures = extractor.see([shapes.draw(one, side) for one in scenes]).features
    texts = extractor.texts(captions)
    shuffled = np.roll(texts, 1, axis=0)
    of_others, own = clip_score(pictures, shuffled)[0], clip_score(pictures, texts)[0]
    yield Chain("CLIP score", {"captions of others": of_others, "own captions": own})
    found = {
        name: float(r_precision(pictures @ some.T, captions)[0].mean())
        for name, some in (("captions of others", shuffled), ("own captions", texts))
    }
    yield Chain("R-precision", found)


def of_drawings(samples: Folder) -> Iterator[Chain]:
    drawn = list(islice(prompts(Inputs({SAMPLES.name: samples})), PROMPTS))
    count = len(drawn[0].ranked)
    names = "the first drawing", f"the best of {count}"
    scores = [(one.first.clip_score, one.ranked[0].clip_score) for one in drawn]
    yield Chain("CLIP score", dict(zip(names, np.mean(scores, axis=0).tolist(), strict=True)))
    found = [judgement for one in drawn if (judgement := judged(one, 0)) is not None]
    right = [(one.right(one.single), one.right(one.favourite)) for one in found]
    yield Chain("judge", dict(zip(names, np.mean(right, axis=0).tolist(), strict=True)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="runs/demo", help="a finished run of the demo")
    store = Store(parser.parse_args(arguments).root)
    dvae, extractor = load_dvae(store.newest(DVAE)), clip_of_run(store.newest(CLIP))
    side = read_config(store.newest(DVAE), DvaeConfig).side
    scenes = [shapes.draw(shapes.scene(1, number), side) for number in range(2 * COUNT)]
    parts = {
        "the demo's world": of_pictures(extractor, scenes, lambda _: dvae),
        "captions": of_captions(extractor, side),
        "drawings": of_drawings(store.newest(SAMPLES)),
    }
    if dvae_quality.STAMPS.exists():
        every = (one for some in dvae_quality.stamps() for one in some)
        stamps = [crop_centre(one, side) for one in every if min(one.shape[:2]) >= side]
        known = picture_network.is_installed()
        looks = picture_network.picture_network() if known else extractor
        name = f"stamps, by {looks.network.name} {looks.network.sha256[:12]}"
        parts[name] = of_pictures(looks, stamps, lambda some: kmeans(some, 1_024))
    wrong = 0
    for name, chains in parts.items():
        print(f"\n{name}")
        for chain in chains:
            print(chain.line(), flush=True)
            wrong += not chain.holds
    if not dvae_quality.STAMPS.exists():
        print(f"\nstamps: left out, no {dvae_quality.STAMPS} (tuxpaint-stamps-default)")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
