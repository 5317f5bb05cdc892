"""What training does to a row: a function of the seed, the epoch and the row's key alone."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from schemas.errors import SchemaMismatch
from stages import pictures
from stages.pictures import PictureError, Pixels
from stages.training import order


def row_seed(seed: int, epoch: int, key: str) -> int:
    """Return 63 bits for one row in one epoch."""
    digest = hashlib.sha256(f"{seed}\n{epoch}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def row_generator(seed: int, epoch: int, key: str) -> np.random.Generator:
    """Return the generator that crops one row in one epoch."""
    return order.generator(row_seed(seed, epoch, key))


def readable(
    images: Iterable[bytes], crop: Callable[[int, Pixels], Pixels]
) -> tuple[UInt8[Tensor, "b h w 3"], list[int]]:
    """Decode and crop pictures, leaving out those that cannot be used; also say which are left.

    `crop` is given a picture's place and pixels. Raises SchemaMismatch if none is left.
    """
    cropped, places, refused = [], [], ""
    for place, data in enumerate(images):
        try:
            cropped.append(crop(place, pictures.decode(data)))
            places.append(place)
        except PictureError as error:
            refused = str(error)
    if not cropped:
        raise SchemaMismatch(
            f"wanted pictures to learn from, found none readable among {place + 1} ({refused}); "
            "run filter again"
        )
    return torch.from_numpy(np.stack(cropped)), places


def unit(pixels: UInt8[Tensor, "b h w 3"]) -> Any:
    """Return pixels in [0, 1] as (b, 3, h, w), laid out in memory as channels_last."""
    return pixels.permute(0, 3, 1, 2).float() / 255
