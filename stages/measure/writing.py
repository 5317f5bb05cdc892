"""Score how much of a picture is text, and find the watermarks of picture agencies.

The letters are read by the package rapidocr-onnxruntime, whose models come with it.
"""

import re
from typing import Any

import cv2
import numpy as np

from schemas.errors import ConfigError
from stages import pictures

# Names that agencies put over their previews, as the reader tends to spell them.
AGENCIES = (
    "123rf", "adobestock", "agefotostock", "alamy", "bigstock", "canstockphoto", "colourbox",
    "depositphotos", "dreamstime", "envato", "fotolia", "fotosearch", "freepik", "gettyimages",
    "istock", "photobucket", "shutterstock", "stockfresh", "vectorstock", "yayimages",
)  # fmt: skip


class Reader:
    """The reader, opened once; raises ConfigError where its package is not installed."""

    def __init__(self) -> None:
        try:
            from rapidocr_onnxruntime import RapidOCR
        except ImportError as error:
            raise ConfigError(
                "measure.writing wants the package rapidocr-onnxruntime, found none; "
                "run `pip install 'dalle-ray[ocr]'` on every machine, or set it to false"
            ) from error
        self.engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)

    def read(self, picture: bytes) -> tuple[float, str | None]:
        """Return the share of the picture that lines of text cover, and an agency's name."""
        pixels = pictures.decode(picture)[..., ::-1]
        lines, _ = self.engine(np.ascontiguousarray(pixels), use_cls=False)
        if not lines:
            return 0.0, None
        covered = np.zeros(pixels.shape[:2], np.uint8)
        cv2.fillPoly(
            covered, [np.array(corners).round().astype(np.int32) for corners, *_ in lines], 1
        )
        return float(covered.mean()), agency_in(lines)


def agency_in(lines: list[Any]) -> str | None:
    """Return the first agency whose name is among (corners, text, confidence) lines."""
    text = re.sub(r"[\W_]", "", "".join(line[1] for line in lines)).lower()
    return next((agency for agency in AGENCIES if agency in text), None)
