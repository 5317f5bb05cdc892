"""Metrics order what is known: real pictures, what few and many codes leave of them, blurred ones.

On the demo's world, and on real drawings where Debian's tuxpaint-stamps-default is installed. The
same with a run's networks and its drawings: `python -m tests.bench.ordering`.
"""

from functools import cache

import numpy as np
import pytest
import torch

from stages import shapes
from stages.metrics.blur import gaussian_blur
from stages.metrics.frechet import frechet_distance
from stages.metrics.kernel import cmmd, kernel_distance_of_all
from stages.metrics.moments import Moments
from stages.metrics.neighbours import density_coverage, precision_recall
from stages.models.patch_kmeans import PatchKmeans, squares_of
from stages.pictures import crop_centre, decode
from stages.pictures.tensors import from_tensor, to_tensor
from tests.stages.labelled import STAMPS
from tests.stages.small_network import SIDE, looks, network


def world():
    return [shapes.draw(shapes.scene(0, n), SIDE) for n in range(400)]


def stamps():
    files = sorted(STAMPS.rglob("*.png"))[:400]
    if not files:
        pytest.skip("tuxpaint-stamps-default is not installed")
    return [crop_centre(decode(file.read_bytes()), SIDE) for file in files]


CORPORA = {"world": world, "stamps": stamps}


@cache
def seen(corpus):
    """Features of one half of the pictures, and of what is made of the other half."""
    pictures = CORPORA[corpus]()
    reference, others = pictures[::2], pictures[1::2]
    made = {
        "real": others,
        "many codes": through(kmeans(reference, 512), others),
        "few codes": through(kmeans(reference, 4), others),
        "blurred": [gaussian_blur(picture, 1) for picture in others],
        "more blurred": [gaussian_blur(picture, 4) for picture in others],
    }
    see = network(looks).see
    return see(reference).features, {name: see(some).features for name, some in made.items()}


def kmeans(pictures, codes):
    return PatchKmeans.fit(squares_of(torch.from_numpy(np.stack(pictures))), codes)


def through(tokenizer, pictures):
    return from_tensor(tokenizer.decode(tokenizer.codes(to_tensor(pictures))))


DISTANCES = {
    "frechet": lambda real, drawn: frechet_distance(Moments.of(real), Moments.of(drawn)),
    "kid": lambda real, drawn: kernel_distance_of_all(real, drawn)[0],
    "cmmd": lambda real, drawn: cmmd(real, drawn)[0],
    "1 - coverage": lambda real, drawn: 1 - density_coverage(real, drawn, 5)[1],
    "1 - recall": lambda real, drawn: 1 - precision_recall(real, drawn, 3)[1],
}


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("metric", DISTANCES)
@pytest.mark.parametrize(
    "order", [("real", "many codes", "few codes"), ("real", "blurred", "more blurred")]
)
def test_what_is_worse_is_farther_away(corpus, metric, order):
    reference, made = seen(corpus)
    found = [DISTANCES[metric](reference, made[name]) for name in order]
    assert found == sorted(found)
    assert found[0] < found[1] < found[2]
