"""Pictures to complete: the codes of their top rows, which every candidate keeps.

Paper: section 3.3, where 15 of 32 rows are given with a caption ("image-to-image translation").
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from schemas.errors import ConfigError
from stages.data.digests import OF_THE_FILE
from stages.pictures import PictureError, Pixels, crop_centre, decode, to_tensor
from stages.sample.artist import Artist
from stages.sample.prompts import Prompt
from stages.storage import opened, reaching

MAX_BYTES = 100_000_000  # of a file: more is no picture that anybody wants completed


def read(where: str) -> bytes:
    """Return a file's bytes; raise PictureError with reason `picture_missing` or `too_large`.

    What may pass, like a storage that does not answer, is not the picture's fault: raises
    ConfigError.
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


def square_of(data: bytes, side: int) -> Pixels:
    """Decode a picture and crop it to the square in its middle, as large as the dVAE takes it.

    Raises PictureError.
    """
    return crop_centre(decode(data), side)


@torch.inference_mode()
def top_codes(artist: Artist, square: Pixels, rows: int) -> Int[Tensor, " g"]:
    """Encode a picture and keep the first rows; alone, so that its company changes no code.

    A GPU shortens no factor here, as in encode: else near ties could give other codes.
    """
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        (grid,) = artist.dvae.codes(to_tensor([square]).to(artist.device))
    return grid[:rows].flatten()


def with_codes(
    prompts: Sequence[Prompt], rows: int, artist: Artist
) -> tuple[list[Prompt], Counter[str]]:
    """Put codes where prompts name a picture; count those whose picture cannot be used."""
    kept: list[Prompt] = []
    rejects: Counter[str] = Counter()
    for prompt in prompts:
        if isinstance(prompt.given, tuple):  # encoded before
            kept.append(prompt)
            continue
        try:
            square = square_of(read(prompt.given), artist.side)
        except PictureError as error:
            rejects[error.reason] += 1
        else:
            codes = top_codes(artist, square, rows)
            kept.append(replace(prompt, given=tuple(codes.tolist())))
    return kept, rejects
