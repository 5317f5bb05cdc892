"""Pictures to tensors and back. Apart from the rest, for crawl and filter do not import torch."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from stages.pictures.decoding import Pixels


def to_tensor(
    batch: Sequence[Pixels] | UInt8[np.ndarray, "b h w 3"] | UInt8[Tensor, "b h w 3"],
) -> Float[Tensor, "b 3 h w"]:
    """Return pictures of one size as pixels in [0, 1], in channels_last memory format.

    A tensor stays on its device.
    """
    if not isinstance(batch, Tensor):
        batch = torch.from_numpy(batch if isinstance(batch, np.ndarray) else np.stack(batch))
    return batch.permute(0, 3, 1, 2).float() / 255


def from_tensor(pixels: Float[Tensor, "b 3 h w"]) -> UInt8[np.ndarray, "b h w 3"]:
    """Undo `to_tensor`, rounding to the nearest of 256 levels."""
    levels = (pixels.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
