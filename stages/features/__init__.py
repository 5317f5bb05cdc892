"""Feature networks: what a metric sees of a picture, with the name and hash of what looked.

A network is handed in, never downloaded: `networks.py` opens it, `inception.py` is that of the FID.

Dimensions: n pictures, b batch, s side of the input, d features, k classes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from stages.metrics.reported import FeatureNetwork, Resize
from stages.pictures import Pixels
from stages.threads import in_threads

Item = TypeVar("Item")

# Pictures that a network sees at once. It is the same everywhere, for a convolution's last bits
# depend on it.
BATCH = 32

Features = Float32[np.ndarray, "n d"]


class Seen(NamedTuple):
    """What a network makes of pictures; only a classifier has probabilities."""

    features: Features
    probabilities: Float32[np.ndarray, "n k"] | None


@dataclass(frozen=True)
class FeatureExtractor:
    """A network with its preprocessing, which is part of the result.

    `convention` says in words what `resize` does not: what is cropped, and how pixels are read.
    """

    network: FeatureNetwork
    resize: Resize
    convention: str
    prepare: Callable[[Pixels], Float[Tensor, "3 s s"]]
    embed: Callable[[Float[Tensor, "b 3 s s"]], Float[Tensor, "b d"]]
    device: str = "cpu"
    classify: Callable[[Float[Tensor, "b d"]], Float[Tensor, "b k"]] | None = None
    embed_texts: Callable[[Sequence[str]], Float[Tensor, "b d"]] | None = None  # of a CLIP

    @torch.no_grad()
    def see(self, pictures: Sequence[Pixels]) -> Seen:
        """Return what the network makes of pictures of any sizes, at most BATCH at once."""
        found = [self._batch(some) for some in _batches(pictures)]
        probabilities = [one.probabilities for one in found if one.probabilities is not None]
        return Seen(
            np.concatenate([one.features for one in found]),
            np.concatenate(probabilities) if probabilities else None,
        )

    @torch.no_grad()
    def texts(self, captions: Sequence[str]) -> Features:
        """Return unit vectors of captions, whose products with those of pictures are scores."""
        assert self.embed_texts is not None, "only a CLIP reads captions"
        return np.concatenate(
            [_numbers(self.embed_texts(list(some))) for some in _batches(captions)]
        )

    def _batch(self, pictures: Sequence[Pixels]) -> Seen:
        inputs = torch.stack(list(in_threads(self.prepare, pictures, threads=2)))
        features = self.embed(inputs.to(self.device))
        classes = None if self.classify is None else _numbers(self.classify(features))
        return Seen(_numbers(features), classes)


def centre_square(picture: Pixels) -> Pixels:
    """Return the largest square in the middle of a picture."""
    height, width = picture.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    return picture[top : top + short, left : left + short]


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def _numbers(values: Tensor) -> Features:
    return values.float().cpu().numpy()
