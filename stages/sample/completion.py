"""Pictures to complete: the codes of their top rows, with which every candidate begins.

Paper: section 3.3, where 15 of 32 rows are given with a caption ("image-to-image translation").

Dimensions: g given codes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from schemas.errors import ConfigError
from stages.data.digests import OF_THE_FILE
from stages.pictures import PictureError, Pixels, crop_centre, decode
from stages.pictures.tensors import to_tensor
from stages.sample.generator import Generator
from stages.sample.prompts import Prompt
from stages.storage import opened, reaching

MAX_BYTES = 100_000_000  # a larger file is no picture to complete


def read(where: str) -> bytes:
    """Return a file's bytes; raise PictureError with reason `picture_missing` or `too_large`.

    Raises ConfigError for what is not the picture's fault, such as a storage that does not answer.
    """
    try:
        with reaching(where, "a picture to complete"), opened(where) as file:
            data: bytes = file.read(MAX_BYTES + 1)
    except ConfigError as error:
        if _is_missing(error.__cause__):
            raise PictureError("picture_missing", f"{where}: {error.__cause__}") from error
        raise
    if len(data) > MAX_BYTES:
        raise PictureError("too_large", f"{where} has more than {MAX_BYTES:,} bytes")
    return data


def _is_missing(error: BaseException | None) -> bool:
    """Say whether there is no such file, or no such storage."""
    if isinstance(error, OSError):
        return isinstance(error, FileNotFoundError) or error.errno in OF_THE_FILE
    return isinstance(error, ValueError | ImportError)


@torch.inference_mode()
def top_codes(generator: Generator, square: Pixels, rows: int) -> Int[Tensor, " g"]:
    """Encode one picture and return the codes of its first rows.

    Alone, so that no batch changes a code; and without TF32, as in encode, because near ties could
    give other codes.
    """
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        (grid,) = generator.dvae.codes(to_tensor([square]).to(generator.device))
    return grid[:rows].flatten()


def with_given_codes(
    prompts: Sequence[Prompt], rows: int, generator: Generator
) -> tuple[list[Prompt], Counter[str]]:
    """Encode the pictures that prompts name; count the prompts whose picture cannot be used.

    Prompts without a picture, and those of validation pairs with their codes, stay as they are.
    """
    kept: list[Prompt] = []
    rejects: Counter[str] = Counter()
    for prompt in prompts:
        if isinstance(prompt.given, tuple):
            kept.append(prompt)
            continue
        try:
            square = crop_centre(decode(read(prompt.given)), generator.tokens.side)
        except PictureError as error:
            rejects[error.reason] += 1
        else:
            codes = top_codes(generator, square, rows)
            kept.append(replace(prompt, given=tuple(codes.tolist())))
    return kept, rejects
