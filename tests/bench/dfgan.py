"""DF-GAN beside a run: trained on the run's pairs for as many CPU seconds, asked for the same.

`python -m tests.bench.dfgan --root RUN --seconds 1800 ...` trains one DF-GAN (Tao et al. 2022;
dfgan_networks.py) on the run's clean pairs, with the sentence features of the run's CLIP, and after
each of the seconds lets it draw every held-out caption. Beside its pictures stand the run's own,
single and the best of 16: the Frechet distance from training pictures, precision and recall
(tests/bench/picture_network.py says what to install), and R-precision by the run's CLIP, which
drew nothing but chose the run's best. RUN/dfgan-SECONDS.png shows the first pictures of each.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from infra.store import Store
from pipelines.command import command
from pipelines.draw.text_to_image import TextToImage
from schemas.artifacts import CLEAN_PAIRS, CLIP, TRAIN, VAL
from stages.evaluate.reconstructions import Captioned
from stages.features import FeatureExtractor, Features
from stages.features.networks import clip_of_run
from stages.metrics.frechet import frechet_distance
from stages.metrics.moments import Moments
from stages.metrics.neighbours import precision_recall
from stages.models.r_precision import r_precision_of_features
from stages.pictures import Pixels, encode_png
from stages.pictures.tensors import from_tensor, to_tensor
from stages.sample.generator import Generator
from tests.bench.dfgan_networks import (
    NOISE,
    DfDiscriminator,
    DfGenerator,
    discriminator_loss,
    gradient_penalty,
)
from tests.bench.picture_network import picture_network
from tests.bench.picture_quality import CANDIDATES, REFERENCE, pairs
from tests.bench.recognition import drawn, first

WIDTH, BATCH = 32, 24  # as the authors train
RATES = (1e-4, 4e-4)  # learning rates of the generator and the discriminator
BETAS = (0.0, 0.9)
NEIGHBOURS = 3  # whose distance makes a picture's neighbourhood
SHOWN = 16  # pictures of a row
EVERYTHING = 10**9

Batches = Iterator[tuple[UInt8[Tensor, "b s s 3"], Float[Tensor, "b d"]]]


class DfGan:
    """Both networks and their optimizers; an update of each for every batch."""

    def __init__(self, sentence: int, side: int, width: int = WIDTH, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.generator = DfGenerator(sentence, width, side)
        self.discriminator = DfDiscriminator(sentence, width, side)
        networks = (self.generator, self.discriminator)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), rate, BETAS)
            for network, rate in zip(networks, RATES, strict=True)
        ]

    def update(
        self, pictures: UInt8[Tensor, "b s s 3"], sentences: Float[Tensor, "b d"]
    ) -> tuple[float, float]:
        """Take one step with each network; return the losses of generator and discriminator."""
        real = 2 * to_tensor(pictures) - 1
        fake = self.generator(torch.randn(len(real), NOISE), sentences)
        scores = (
            self.discriminator(real, sentences),
            self.discriminator(fake.detach(), sentences),
            self.discriminator(real, sentences.roll(1, dims=0)),
        )
        loss = discriminator_loss(*scores) + gradient_penalty(self.discriminator, real, sentences)
        self._step(1, loss)
        against = -self.discriminator(fake, sentences).mean()
        self._step(0, against)
        return against.item(), loss.item()

    def _step(self, which: int, loss: Float[Tensor, ""]) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        self.optimizers[which].step()

    @torch.no_grad()
    def draw(self, sentences: Float[Tensor, "b d"], seed: int) -> list[Pixels]:
        noise = torch.randn(len(sentences), NOISE, generator=torch.Generator().manual_seed(seed))
        drawn = [
            self.generator(*some) for some in zip(noise.split(64), sentences.split(64), strict=True)
        ]
        return list(from_tensor((torch.cat(drawn) + 1) / 2))


def batches(
    pictures: UInt8[Tensor, "n s s 3"], sentences: Float[Tensor, "n d"], seed: int = 0
) -> Batches:
    """Yield batches for ever, each epoch in another order, the odd rest left out."""
    order = torch.Generator().manual_seed(seed)
    while True:
        for some in torch.randperm(len(pictures), generator=order).split(BATCH):
            if len(some) == min(BATCH, len(pictures)):
                yield pictures[some], sentences[some]


def trained(gan: DfGan, stream: Batches, seconds: float) -> int:
    """Train for so many seconds of all CPU cores together; return the number of updates."""
    updates, until = 0, time.process_time() + seconds
    while time.process_time() < until:
        gan.update(*next(stream))
        updates += 1
    return updates


def line_of(
    name: str,
    reference: Features,
    network: FeatureExtractor,
    clip: FeatureExtractor,
    of_captions: Mapping[str, Pixels],
) -> str:
    captions, pictures = list(of_captions), list(of_captions.values())
    found = clip.see(pictures).features, clip.texts(captions), captions
    seen = network.see(pictures).features
    precision, recall = precision_recall(reference, seen, NEIGHBOURS)
    distance = frechet_distance(Moments.of(reference), Moments.of(seen))
    return (
        f"{name:24} {distance:7.1f}  {precision:9.3f}  {recall:6.3f}  "
        f"{r_precision_of_features(*found).found.mean():11.1%}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.dfgan", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--root", default="runs/demo", help="a finished run")
    parser.add_argument("--seconds", type=float, nargs="+", default=[1800.0], help="CPU seconds")
    parser.add_argument("--count", type=int, default=1_000, help="held-out captions at most")
    return parser


def of_run(generator: Generator, held_out: Sequence[Captioned]) -> dict[str, dict[str, Pixels]]:
    """Return what stands beside DF-GAN: pictures of each set, by caption."""
    captions = list(dict.fromkeys(own.caption for own in held_out))
    candidates = dict(zip(captions, drawn(generator, captions, CANDIDATES), strict=True))
    return {
        "the run, single": {own: first(ranked).pixels for own, ranked in candidates.items()},
        f"the run, best of {CANDIDATES}": {
            own: ranked[0].pixels for own, ranked in candidates.items()
        },
        "held-out pictures": {own.caption: own.pixels for own in held_out},
    }


def sheet(rows: Sequence[Sequence[Pixels]]) -> Pixels:
    return np.concatenate([np.concatenate(row[:SHOWN], axis=1) for row in rows])


@command(_parser)
def main(asked: argparse.Namespace) -> int:
    network, store = picture_network(), Store(asked.root)
    clean, clip = store.newest(CLEAN_PAIRS), clip_of_run(store.newest(CLIP))
    ours = TextToImage(asked.root).generator
    side = ours.tokens.side
    training, held_out = (
        pairs(clean, part, side, count) for part, count in ((TRAIN, EVERYTHING), (VAL, asked.count))
    )
    reference = network.see([own.pixels for own in training[:REFERENCE]]).features
    sets = of_run(ours, held_out)
    captions, *_ = map(list, sets.values())
    print(f"{len(training)} training pictures, {len(captions)} captions; {network.network.name}")
    print(f"{'':24} Frechet  precision  recall  R-precision", flush=True)
    for name, of_captions in sets.items():
        print(line_of(name, reference, network, clip, of_captions), flush=True)
    learned, wanted = (
        torch.from_numpy(clip.texts(some)).float()
        for some in ([own.caption for own in training], captions)
    )
    gan, spent = DfGan(learned.shape[1], side), 0.0
    stream = batches(torch.from_numpy(np.stack([own.pixels for own in training])), learned)
    for seconds in sorted(asked.seconds):
        updates = trained(gan, stream, seconds - spent)
        spent = seconds
        pictures = gan.draw(wanted, 0)
        of_captions = dict(zip(captions, pictures, strict=True))
        print(line_of(f"DF-GAN, {seconds:,.0f} CPU s", reference, network, clip, of_captions))
        print(f"  ({updates:,} more updates of {BATCH})", flush=True)
        beside = sheet([list(sets["the run, single"].values()), pictures])
        Path(asked.root, f"dfgan-{seconds:.0f}.png").write_bytes(encode_png(beside))
    return 0


if __name__ == "__main__":
    sys.exit(main())
