"""A feature network that learned nothing: the colours and the edges of small pictures."""

import numpy as np
import torch

from schemas.metric_value import FeatureNetwork, Resize
from stages.features import FeatureExtractor

SIDE = 64


def edges(pictures):
    """Return the edges of small grey pictures, whatever their contrast."""
    small = torch.nn.functional.avg_pool2d(pictures.mean(dim=1), 4)
    found = torch.cat([torch.diff(small, dim=dim).flatten(1) for dim in (1, 2)], dim=1)
    return found / found.norm(dim=1, keepdim=True)


def looks(pictures):
    """Return mean colours of a few squares, and how much neighbouring pixels differ in each."""
    colours = torch.nn.functional.avg_pool2d(pictures, 16)
    steps = torch.diff(pictures.mean(dim=1), dim=2).abs()
    detail = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(steps, (0, 1)), 16)
    return torch.cat([colours.flatten(1), 16 * detail.flatten(1)], dim=1) / 255


def network(embed):
    return FeatureExtractor(
        network=FeatureNetwork(name=embed.__name__, sha256="0" * 64),
        resize=Resize(method="none", antialias=False, side=SIDE),
        convention="as they are",
        prepare=lambda picture: torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32)),
        embed=embed,
    )
