"""A user's picture to complete: the codes that candidates begin with, and its look on the sheet."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from schemas.errors import ConfigError
from stages.pictures import PictureError, Pixels, crop_centre, decode
from stages.sample.completion import read, top_codes
from stages.sample.generator import Generator

PAPERS_SHARE = 15 / 32  # of the rows (section 3.3)
PALE = 0.3  # contrast of the part that is not given
INK = (34, 33, 30)


@dataclass(frozen=True)
class ImagePrompt:
    """The top rows of a picture, as codes with which every candidate begins."""

    square: Pixels  # the whole picture, as the dVAE encodes it
    rows: int
    grid: int
    codes: Int[Tensor, " g"]

    @property
    def label(self) -> str:
        """The text below the picture on the sheet."""
        return f"given: {self.rows} of {self.grid} rows"

    @property
    def metadata(self) -> dict[str, str]:
        """What a PNG needs in its text to draw it again."""
        codes = " ".join(map(str, self.codes.tolist()))
        return {"given_rows": str(self.rows), "given_codes": codes}

    @property
    def image(self) -> Image.Image:
        """The picture, pale below a line where the given rows end."""
        edge = self.rows * len(self.square) // self.grid
        shown = self.square.copy()
        shown[edge:] = np.round(255 - PALE * (255 - self.square[edge:].astype(np.float32)))
        shown[edge] = INK
        return Image.fromarray(shown)


def image_prompt(generator: Generator, path: str, rows: int | None = None) -> ImagePrompt:
    """Encode the centre square of a picture and keep its top `rows` rows of codes.

    By default the paper's share of the rows. Raises ConfigError for a file that is no picture, a
    picture that is too small, and rows that leave nothing to draw.
    """
    grid, side = generator.tokens.grid, generator.tokens.side
    if rows is None:
        rows = max(1, round(grid * PAPERS_SHARE))
    if not 0 < rows < grid:
        raise ConfigError(
            f"--rows: wanted 1 to {grid - 1} of the {grid} rows of codes, found {rows}; "
            "leave it out for the paper's share"
        )
    try:
        square = crop_centre(decode(read(path)), side)
    except PictureError as error:
        raise ConfigError(
            f"--complete: wanted a picture of {side} x {side} pixels or more, found '{path}' "
            f"({error}); give another file"
        ) from error
    return ImagePrompt(square, rows, grid, top_codes(generator, square, rows))
