"""From pixels to the square input of a feature network: three conventions of the FID, named.

The FID depends on them by several points (Parmar et al. 2022, "On aliased resizing"). The names are
those of clean-fid. A picture that is no square is squeezed into one, as all three do.

Dimensions: h w pixels of the picture, s side of the input.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from stages.features.inception import SIDE
from stages.metrics.reported import Resize
from stages.pictures import Pixels

Convention = Literal["clean", "legacy_pytorch", "legacy_tensorflow"]
Levels = Float[Tensor, "3 s s"]  # in [0, 255], not rounded

WORDS: Mapping[str, str] = {
    "clean": "Pillow's bicubic filter with antialias, on floats",
    "legacy_pytorch": "bilinear without antialias, pixels by their centres",
    "legacy_tensorflow": "bilinear without antialias, pixels by their corners, as TensorFlow 1",
}

RECORDS: Mapping[str, Resize] = {
    "clean": Resize(method="bicubic", antialias=True, side=SIDE),
    "legacy_pytorch": Resize(method="bilinear", antialias=False, side=SIDE),
    "legacy_tensorflow": Resize(method="bilinear", antialias=False, side=SIDE),
}


def clean(picture: Pixels, side: int) -> Levels:
    """Resize each channel as floats with Pillow's bicubic filter, and clip what overshoots."""
    channels = [
        Image.fromarray(channel).resize((side, side), Image.Resampling.BICUBIC)
        for channel in picture.astype(np.float32).transpose(2, 0, 1)
    ]
    return torch.from_numpy(np.stack([np.asarray(one) for one in channels]).clip(0, 255))


def legacy_pytorch(picture: Pixels, side: int) -> Levels:
    """Resize as pytorch-fid does: four neighbours however much the picture shrinks."""
    return F.interpolate(_levels(picture)[None], (side, side), mode="bilinear")[0]


def legacy_tensorflow(picture: Pixels, side: int) -> Levels:
    """Resize as the original FID's graph does: output pixel i is read at i * length / side."""
    height, width = picture.shape[:2]
    return _bilinear(height, side) @ _levels(picture) @ _bilinear(width, side).T


RESIZES: Mapping[str, Callable[[Pixels, int], Levels]] = {
    "clean": clean,
    "legacy_pytorch": legacy_pytorch,
    "legacy_tensorflow": legacy_tensorflow,
}


def to_inception(picture: Pixels, side: int, convention: Convention) -> Float[Tensor, "3 s s"]:
    """Resize and scale to about [-1, 1], each convention in its own way.

    The graph of TensorFlow maps level x to (x - 128) / 128, pytorch-fid to 2 x / 255 - 1.
    """
    levels = RESIZES[convention](picture, side)
    return levels / 127.5 - 1 if convention == "legacy_pytorch" else (levels - 128) / 128


def _levels(picture: Pixels) -> Float[Tensor, "3 h w"]:
    return torch.from_numpy(picture.astype(np.float32).transpose(2, 0, 1).copy())


def _bilinear(length: int, side: int) -> Float[Tensor, "s length"]:
    """Return the weight of each pixel of a line for each pixel of the resized line."""
    place = torch.arange(side, dtype=torch.float32) * (length / side)
    low = place.floor().long()
    weights = torch.zeros(side, length)
    rows = torch.arange(side)
    weights[rows, low] = 1 - (place - low)
    weights[rows, (low + 1).clamp(max=length - 1)] += place - low
    return weights
