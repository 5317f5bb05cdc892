"""Pictures to tensors, cropped at random: a function of the seed, the epoch and the row's key."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from schemas.errors import SchemaMismatch
from stages import pictures
from stages.hashing import hash_bits
from stages.pictures import PictureError, Pixels


def row_seed(seed: int, epoch: int, key: str) -> int:
    return hash_bits(f"{seed}\n{epoch}\n{key}", 63)


def decode_crops(
    images: Iterable[bytes], crop: Callable[[int, Pixels], Pixels], side: int
) -> tuple[UInt8[Tensor, "b h w 3"], list[int]]:
    """Decode and crop pictures, leaving out unusable ones; also return the indices of the rest.

    `crop(index, pixels)` returns `side` x `side` pixels. The result may be empty: other workers may
    have rows of the same batch.
    """
    cropped, indices = [np.empty((0, side, side, 3), np.uint8)], []
    for index, data in enumerate(images):
        with suppress(PictureError):
            cropped.append(crop(index, pictures.decode(data))[None])
            indices.append(index)
    return torch.from_numpy(np.concatenate(cropped)), indices


def held_out(images: Sequence[bytes], side: int) -> tuple[UInt8[Tensor, "b h w 3"], list[int]]:
    """Decode validation pictures and crop their centres; raise SchemaMismatch if none is left."""
    pixels, indices = decode_crops(images, lambda _, found: pictures.crop_centre(found, side), side)
    if not indices:
        raise SchemaMismatch(
            f"wanted pictures to measure with, found none readable among {len(images)}; run filter "
            "again"
        )
    return pixels, indices
