"""A user's picture to complete: the codes that are kept of it, and how the sheet shows them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from schemas.errors import ConfigError
from stages.pictures import PictureError, Pixels
from stages.sample.completion import read, square_of, top_codes
from stages.sample.generator import Generator

PAPERS_SHARE = 15 / 32  # of the rows (section 3.3)
PALE = 0.3  # of the contrast that is left of what is not given
INK = (34, 33, 30)


@dataclass(frozen=True)
class ImagePrompt:
    """The top of a picture, as codes that every candidate keeps."""

    square: Pixels  # the whole picture, as the dVAE takes it
    rows: int
    grid: int
    codes: Int[Tensor, " g"]

    @property
    def words(self) -> str:
        """Say how much is given."""
        return f"given: {self.rows} of {self.grid} rows"

    @property
    def record(self) -> dict[str, str]:
        """Return what a PNG says of it, to draw it again."""
        codes = " ".join(map(str, self.codes.tolist()))
        return {"given_rows": str(self.rows), "given_codes": codes}

    @property
    def image(self) -> Image.Image:
        """The picture, pale below a line where it is no longer given."""
        edge = self.rows * len(self.square) // self.grid
        shown = self.square.copy()
        shown[edge:] = np.round(255 - PALE * (255 - self.square[edge:].astype(np.float32)))
        shown[edge] = INK
        return Image.fromarray(shown)


def given(generator: Generator, path: str, rows: int | None = None) -> ImagePrompt:
    """Encode a picture, cropped to the square in its middle; keep its top `rows` rows of codes.

    As large a share as in the paper, unless told. Raises ConfigError for what is no picture, is too
    small, or leaves nothing to draw.
    """
    grid = generator.sampler.prior.tokens.grid
    if rows is None:
        rows = max(1, round(grid * PAPERS_SHARE))
    if not 0 < rows < grid:
        raise ConfigError(
            f"--rows: wanted 1 to {grid - 1} of the {grid} rows of codes, found {rows}; "
            "leave it out for the paper's share"
        )
    try:
        square = square_of(read(path), generator.side)
    except (PictureError, OSError) as error:
        raise ConfigError(
            f"--complete: wanted a picture of {generator.side} x {generator.side} pixels or more, found "
            f"'{path}' ({error}); give another file"
        ) from error
    return ImagePrompt(square, rows, grid, top_codes(generator, square, rows))
