"""How far a run's pictures are from training pictures, on a network that knows real pictures.

`python -m tests.bench.picture_quality --root RUN` prints Frechet distances from training pictures
(tests/bench/picture_network.py says what to install). Every set has as many pictures, one for each
held-out pair, because the distance falls with their number:

real             held-out pictures
reconstructions  these through the run's dVAE
k-means          these through k-means with its patch and codes, of training pictures
drawings         the first drawing for each held-out caption
favourites       the best of 16, as the run chooses
nearest          the training picture with the caption that is nearest
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import torch

from infra.store import Store
from pipelines.command import command
from pipelines.draw.text_to_image import TextToImage
from schemas.artifacts import CLEAN_PAIRS, DVAE, TRAIN, VAL
from schemas.errors import ConfigError
from schemas.folder import Folder
from stages.data.parquet import read_rows
from stages.evaluate.baselines.nearest_captions import nearest_pictures
from stages.evaluate.reconstructions import Captioned, Tokenizer, captioned, through_dvae
from stages.features import FeatureExtractor
from stages.metrics.frechet_interval import frechet_interval
from stages.metrics.moments import Moments
from stages.models.patch_kmeans import PICTURES, PatchKmeans
from stages.pictures import Pixels
from stages.pictures.tensors import from_tensor
from stages.sample.generator import Generator
from stages.weights import DvaeConfig, read_config
from tests.bench.picture_network import picture_network
from tests.bench.recognition import drawn, first

REFERENCE, FEWEST = 2_000, 32  # training pictures at most; held-out ones at least
CANDIDATES = 16  # drawn for each caption: a lane, which costs as much with fewer


def pairs(clean: Folder, part: str, side: int, count: int) -> list[Captioned]:
    """Return the first pairs of a part, which are a fair sample."""
    return list(islice(captioned(read_rows(clean, part, ["caption", "image"]), side), count))


def through(tokenizer: Tokenizer, pictures: Sequence[Pixels]) -> list[Pixels]:
    made = (drawn for _, drawn, _ in through_dvae(tokenizer, pictures))
    return [pixels for tile in made for pixels in from_tensor(tile)]


def picture_sets(
    generator: Generator, clean: Folder, training: Sequence[Pixels], held_out: Sequence[Captioned]
) -> Mapping[str, Sequence[Pixels]]:
    """Return the sets of the module's docstring; the captions are those of the held-out pairs."""
    dvae, tokens = generator.dvae, generator.tokens
    learned = torch.from_numpy(np.stack(training[:PICTURES]))
    kmeans = PatchKmeans.of(learned, tokens.patch, tokens.image_vocab)
    real, captions = [own.pixels for own in held_out], [own.caption for own in held_out]
    near = nearest_pictures(clean, tokens.side, captions)
    ranked = list(drawn(generator, captions, CANDIDATES))
    return {
        "real": real,
        "reconstructions": through(dvae, real),
        "k-means": through(kmeans, real),
        "drawings": [first(of_caption).pixels for of_caption in ranked],
        "favourites": [of_caption[0].pixels for of_caption in ranked],
        "nearest": [picture for picture in near if picture is not None],
    }


def print_distances(
    network: FeatureExtractor, training: Sequence[Pixels], sets: Mapping[str, Sequence[Pixels]]
) -> None:
    """Print a line for each set: the distance as it is, and without the bias of few pictures."""
    reference = Moments.of(network.see(training).features)
    print(f"{network.network.name}; {len(training)} training pictures", flush=True)
    for name, pictures in sets.items():
        found = frechet_interval(reference, network.see(pictures).features, 0)
        print(
            f"{name:15} {found.at_count:6.1f} ({len(pictures)} pictures); without their bias "
            f"{found.without_bias:6.1f} ({found.low:.1f} to {found.high:.1f})",
            flush=True,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.picture_quality", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--root", default="runs/demo", help="a finished run")
    parser.add_argument("--count", type=int, default=1_000, help="pictures of a set at most")
    return parser


@command(_parser)
def main(asked: argparse.Namespace) -> int:
    network, store = picture_network(), Store(asked.root)
    clean = store.newest(CLEAN_PAIRS)
    side = read_config(store.newest(DVAE), DvaeConfig).side
    held_out = pairs(clean, VAL, side, asked.count)
    if len(held_out) < FEWEST:
        raise ConfigError(
            f"wanted {FEWEST} held-out pictures, found {len(held_out)}; set a larger "
            "filter.validation_share"
        )
    training = [own.pixels for own in pairs(clean, TRAIN, side, REFERENCE)]
    generator = TextToImage(asked.root).generator
    print_distances(network, training, picture_sets(generator, clean, training, held_out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
