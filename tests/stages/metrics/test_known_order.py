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
from stages.models.patch_kmeans import PatchKmeans
from stages.pictures import crop_centre, decode
from stages.pictures.tensors import from_tensor, to_tensor
from tests.stages.labelled import STAMPS
from tests.stages.small_network import SIDE, looks, network


def world():
    return [shapes.draw(shapes.scene(0, n), SIDE) for n in range(400)]


def stamps():
    every = [decode(file.read_bytes()) for file in sorted(STAMPS.rglob("*.png"))[::2]]
    if not every:
        pytest.skip("tuxpaint-stamps-default is not installed")
    return [crop_centre(one, SIDE) for one in every if min(one.shape[:2]) >= SIDE]


CORPORA = {"world": world, "stamps": stamps}


@cache
def seen(corpus):
    """Features of one half of the pictures, and of what is made of the other half."""
    pictures = CORPORA[corpus]()
    reference, others = pictures[::2], pictures[1::2]
    made = {
        "real": others,
        "many codes": through(kmeans(reference, 64), others),
        "few codes": through(kmeans(reference, 4), others),
        "blurred": [gaussian_blur(picture, 2) for picture in others],
        "more blurred": [gaussian_blur(picture, 6) for picture in others],
    }
    see = network(looks).see
    return see(reference).features, {name: see(some).features for name, some in made.items()}


def kmeans(pictures, codes):
    return PatchKmeans.of(torch.from_numpy(np.stack(pictures)), 8, codes)


def through(tokenizer, pictures):
    return from_tensor(tokenizer.decode(tokenizer.codes(to_tensor(pictures))))


DISTANCES = {
    "frechet": lambda real, drawn: frechet_distance(Moments.of(real), Moments.of(drawn)),
    "kid": lambda real, drawn: kernel_distance_of_all(real, drawn)[0],
    "cmmd": lambda real, drawn: cmmd(real, drawn)[0],
}


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("metric", DISTANCES)
def test_what_is_worse_is_farther_away(corpus, metric):
    """To the kernels, with so coarse a network, few codes are not worse than some more."""
    reference, made = seen(corpus)
    found = {name: DISTANCES[metric](reference, features) for name, features in made.items()}
    assert found["real"] == min(found.values())
    assert found["blurred"] < found["more blurred"]
    if metric == "frechet":
        assert found["many codes"] < found["few codes"]
