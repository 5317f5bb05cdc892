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
from schemas.artifacts import CLEAN_PAIRS, TRAIN, VAL
from stages.evaluate.reconstructions import Captioned
from stages.features import FeatureExtractor, Features
from stages.metrics.frechet import frechet_distance
from stages.metrics.moments import Moments
from stages.metrics.neighbours import precision_recall
from stages.models.clip import Reranker
from stages.models.r_precision import r_precision_of_features
from stages.pictures import Pixels, encode_png
from stages.pictures.tensors import from_tensor, to_tensor
from tests.bench.dfgan_networks import (
    NOISE,
    DfDiscriminator,
    DfGenerator,
    discriminator_loss,
    gradient_penalty,
)
from tests.bench.picture_network import picture_network
from tests.bench.picture_quality import CANDIDATES, REFERENCE, pairs
from tests.bench.recognition import drawn

WIDTH, BATCH = 32, 24  # as the authors train
RATES = (1e-4, 4e-4)  # learning rates of the generator and the discriminator
BETAS = (0.0, 0.9)
NEIGHBOURS = 3  # whose distance makes a picture's neighbourhood
SHOWN = 16  # pictures of a row
EVERYTHING = 10**9


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
) -> Iterator[tuple[UInt8[Tensor, "b s s 3"], Float[Tensor, "b d"]]]:
    """Yield batches for ever, each epoch in another order, the odd rest left out."""
    order = torch.Generator().manual_seed(seed)
    while True:
        for some in torch.randperm(len(pictures), generator=order).split(BATCH):
            if len(some) == min(BATCH, len(pictures)):
                yield pictures[some], sentences[some]


def trained(gan: DfGan, training: Sequence[Captioned], clip: Reranker, seconds: float) -> int:
    """Train for so many seconds of all CPU cores together; return the number of updates."""
    pixels = torch.from_numpy(np.stack([own.pixels for own in training]))
    captions = [own.caption for own in training]
    updates, until = 0, time.process_time() + seconds
    for batch in batches(pixels, sentences_of(clip, captions)):
        if time.process_time() >= until:
            break
        gan.update(*batch)
        updates += 1
    return updates


@torch.no_grad()
def sentences_of(clip: Reranker, captions: Sequence[str]) -> Float[Tensor, "n d"]:
    some = (captions[n : n + 256] for n in range(0, len(captions), 256))
    return torch.cat([clip.text_features(own) for own in some]).float()


@torch.no_grad()
def found_captions(clip: Reranker, pictures: Sequence[Pixels], captions: Sequence[str]) -> float:
    """Return the R-precision of pictures drawn for captions."""
    pixels = to_tensor(torch.from_numpy(np.stack(pictures))).split(64)
    seen = torch.cat([clip.image_features(own) for own in pixels]).float().numpy()
    texts = sentences_of(clip, captions).numpy()
    return float(r_precision_of_features(seen, texts, captions).found.mean())


def line_of(
    name: str,
    reference: Features,
    network: FeatureExtractor,
    clip: Reranker,
    of_captions: Mapping[str, Pixels],
) -> str:
    captions, pictures = list(of_captions), list(of_captions.values())
    seen = network.see(pictures).features
    precision, recall = precision_recall(reference, seen, NEIGHBOURS)
    distance = frechet_distance(Moments.of(reference), Moments.of(seen))
    return (
        f"{name:24} {distance:7.1f}  {precision:9.3f}  {recall:6.3f}  "
        f"{found_captions(clip, pictures, captions):11.1%}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.dfgan", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--root", default="runs/demo", help="a finished run")
    parser.add_argument("--seconds", type=float, nargs="+", default=[1800.0], help="CPU seconds")
    parser.add_argument("--count", type=int, default=1_000, help="held-out captions at most")
    return parser


@command(_parser)
def main(asked: argparse.Namespace) -> int:
    network, clean = picture_network(), Store(asked.root).newest(CLEAN_PAIRS)
    ours = TextToImage(asked.root).generator
    side, clip = ours.tokens.side, ours.clip
    training, held_out = (
        pairs(clean, part, side, count) for part, count in ((TRAIN, EVERYTHING), (VAL, asked.count))
    )
    captions = list(dict.fromkeys(own.caption for own in held_out))
    reference = network.see([own.pixels for own in training[:REFERENCE]]).features
    print(f"{len(training)} training pictures, {len(captions)} captions; {network.network.name}")
    print(f"{'':24} Frechet  precision  recall  R-precision", flush=True)
    candidates = dict(zip(captions, drawn(ours, captions, CANDIDATES), strict=True))
    sets = {
        "the run, single": {
            own: min(found, key=lambda one: one.candidate).pixels
            for own, found in candidates.items()
        },
        f"the run, best of {CANDIDATES}": {
            own: found[0].pixels for own, found in candidates.items()
        },
        "held-out pictures": {own.caption: own.pixels for own in held_out},
    }
    for name, of_captions in sets.items():
        print(line_of(name, reference, network, clip, of_captions), flush=True)
    sentences = sentences_of(clip, captions)
    gan, spent = DfGan(sentences.shape[1], side), 0.0
    for seconds in sorted(asked.seconds):
        updates = trained(gan, training, clip, seconds - spent)
        spent = seconds
        pictures = gan.draw(sentences, 0)
        own = dict(zip(captions, pictures, strict=True))
        print(line_of(f"DF-GAN, {seconds:,.0f} CPU s", reference, network, clip, own))
        print(f"  ({updates:,} more updates of {BATCH})", flush=True)
        rows = [list(one.values())[:SHOWN] for one in (sets["the run, single"], own)]
        sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
        Path(asked.root, f"dfgan-{seconds:.0f}.png").write_bytes(encode_png(sheet))
    return 0


if __name__ == "__main__":
    sys.exit(main())
