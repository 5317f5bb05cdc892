"""What training does to a row: a function of the seed, the epoch and the row's key alone."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from schemas.errors import SchemaMismatch
from stages import pictures
from stages.pictures import PictureError, Pixels
from stages.seeds import seed_of
from stages.training import order


def row_seed(seed: int, epoch: int, key: str) -> int:
    """Return the seed of one row in one epoch."""
    return seed_of(f"{seed}\n{epoch}\n{key}")


def row_generator(seed: int, epoch: int, key: str) -> np.random.Generator:
    """Return the generator that crops one row in one epoch."""
    return order.generator(row_seed(seed, epoch, key))


def readable(
    images: Iterable[bytes], crop: Callable[[int, Pixels], Pixels], side: int
) -> tuple[UInt8[Tensor, "b h w 3"], list[int]]:
    """Decode and crop pictures, leaving out those that cannot be used; also say which are left.

    `crop` is given a picture's place and pixels, and returns `side` x `side` of them. None may be
    left: other workers may have rows of the same batch.
    """
    cropped, places = [np.empty((0, side, side, 3), np.uint8)], []
    for place, data in enumerate(images):
        with suppress(PictureError):
            cropped.append(crop(place, pictures.decode(data))[None])
            places.append(place)
    return torch.from_numpy(np.concatenate(cropped)), places


def held_out(images: Sequence[bytes], side: int) -> tuple[UInt8[Tensor, "b h w 3"], list[int]]:
    """Decode pictures to measure with, and take their centres; raise SchemaMismatch for none."""
    pixels, places = readable(images, lambda _, found: pictures.crop_centre(found, side), side)
    if not places:
        raise SchemaMismatch(
            f"wanted pictures to measure with, found none readable among {len(images)}; run filter "
            "again"
        )
    return pixels, places
