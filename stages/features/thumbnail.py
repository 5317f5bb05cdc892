"""A feature network without weights: the thumbnail, which tells copies of a picture from others.

JPEG keeps brightness finer than colour, and so does the eye. A thumbnail of both that is coarser
still is the same, but for a level or two, before and after a picture is encoded again, and no two
photographs share it.
"""

import hashlib

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from stages.features import FeatureExtractor
from stages.metrics.reported import FeatureNetwork, Resize
from stages.pictures import Pixels

SIDE = 16  # parts along the side of which brightness is kept
COLOUR_SIDE = 4  # parts along the side of which colour is kept
# Brightness and two differences of colour, of red, green and blue, as in a JPEG (JFIF 1992).
YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
DEFINITION = (
    f"mean brightness of {SIDE} x {SIDE} parts over {SIDE}, mean Cb and Cr of {COLOUR_SIDE} x "
    f"{COLOUR_SIDE} parts over {COLOUR_SIDE}, of levels in [0, 1], by {YCBCR}"
)


def thumbnail() -> FeatureExtractor:
    """Open it. Distances are root mean squares over the picture, 1 from black to white."""
    return FeatureExtractor(
        network=FeatureNetwork(
            name=f"thumbnail:{SIDE}x{SIDE}", sha256=hashlib.sha256(DEFINITION.encode()).hexdigest()
        ),
        resize=Resize(method="area", antialias=True, side=SIDE),
        convention=DEFINITION,
        prepare=_shrunk,
        embed=_features,
    )


def _shrunk(picture: Pixels) -> Float[Tensor, "3 s s"]:
    """Return the mean colour of each part, in [0, 1]."""
    small = cv2.resize(picture.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small.transpose(2, 0, 1) / 255)


def _features(means: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
    brightness, colour = einsum(
        torch.tensor(YCBCR), means, "ycc rgb, b rgb h w -> b ycc h w"
    ).split((1, 2), dim=1)
    colour = F.avg_pool2d(colour, SIDE // COLOUR_SIDE)
    return torch.cat([brightness.flatten(1) / SIDE, colour.flatten(1) / COLOUR_SIDE], dim=1)
