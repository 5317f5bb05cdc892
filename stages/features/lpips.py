"""LPIPS: how different two pictures look to a network (Zhang et al. 2018, version 0.1).

The network is torchvision's AlexNet or VGG16, handed in as a file of weights. How much each channel
counts is what the authors learned and published; torchmetrics has it in its package.

Dimensions: b batch, c channels, h w pixels.
"""

from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from schemas.errors import SchemaMismatch
from stages.data.digests import sha256_of
from stages.metrics.reported import FeatureNetwork
from stages.weights.torch_files import read_tensors

# The mean and deviation of ImageNet's channels for pixels in [-1, 1].
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
TINY = 1e-8  # keeps the length of a feature above 0
PREFIX = "features."  # of the convolutions in torchvision's files

Picture = Float[Tensor, "b 3 h w"]


class Backbone(NamedTuple):
    """The convolutional part of a network, with the layers after which it is looked at."""

    name: str
    published: str  # what torchmetrics calls the channels' weights
    layers: nn.Sequential
    seen_after: Sequence[int]


def alexnet() -> Backbone:
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip
    return Backbone("alexnet", "alex", layers, (1, 4, 7, 9, 11))


def vgg16() -> Backbone:
    layers: list[nn.Module] = []
    width = 3
    for out, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [nn.MaxPool2d(2, 2)] if layers else []
        for _ in range(count):
            layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
            width = out
    return Backbone("vgg16", "vgg", nn.Sequential(*layers), (3, 8, 15, 22, 29))


class Lpips(nn.Module):
    """Pairs of pictures with pixels in [0, 1] to distances; 0 is the same picture."""

    def __init__(self, backbone: Backbone, weights: Sequence[Float[Tensor, "1 c 1 1"]]) -> None:
        super().__init__()
        self.layers, self.seen_after = backbone.layers, set(backbone.seen_after)
        self.weights = nn.ParameterList([nn.Parameter(one, requires_grad=False) for one in weights])

    @torch.no_grad()
    def forward(self, pictures: Picture, others: Picture) -> Float[Tensor, " b"]:
        ours, theirs = self._directions(pictures), self._directions(others)
        distance = torch.zeros(len(pictures), device=pictures.device)
        for a, b, weight in zip(ours, theirs, self.weights, strict=True):
            distance += ((a - b).square() * weight).sum(dim=1).mean(dim=(1, 2))
        return distance

    def _directions(self, pictures: Picture) -> list[Float[Tensor, "b c h w"]]:
        """Return the features of each layer that is looked at, of length 1 at each place."""
        shift, scale = (
            rearrange(torch.tensor(one, device=pictures.device), "c -> c 1 1")
            for one in (SHIFT, SCALE)
        )
        maps = (2 * pictures - 1 - shift) / scale
        found = []
        for number, layer in enumerate(self.layers):
            maps = layer(maps)
            if number in self.seen_after:
                found.append(maps / (maps.square().sum(dim=1, keepdim=True) + TINY).sqrt())
        return found


def open_lpips(address: str, device: str = "cpu") -> tuple[FeatureNetwork, Lpips]:
    """Open a file of torchvision's weights; raise SchemaMismatch for those of another network."""
    tensors = read_tensors(address)
    convolutions = {
        name.removeprefix(PREFIX): value
        for name, value in tensors.items()
        if name.startswith(PREFIX)
    }
    for backbone in (alexnet(), vgg16()):
        own = {name: value.shape for name, value in backbone.layers.state_dict().items()}
        if own == {name: value.shape for name, value in convolutions.items()}:
            backbone.layers.load_state_dict(convolutions)
            network = FeatureNetwork(name=f"lpips:{backbone.name}", sha256=sha256_of(address))
            return network, Lpips(backbone, published_weights(backbone)).eval().to(device)
    raise SchemaMismatch(
        f"wanted torchvision's weights of AlexNet or VGG16 in {address}, found {len(tensors)} "
        f"tensors of another network; give alexnet-owt-7be5be79.pth or vgg16-397923af.pth"
    )


def published_weights(backbone: Backbone) -> list[Float[Tensor, "1 c 1 1"]]:
    """Return how much each channel counts, by layer, as the authors published it."""
    place = files("torchmetrics.functional.image") / f"lpips_models/{backbone.published}.pth"
    with as_file(place) as path:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    return [tensors[f"lin{layer}.model.1.weight"] for layer in range(len(backbone.seen_after))]
