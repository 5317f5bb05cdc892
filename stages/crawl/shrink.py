"""Decode an untrusted picture, bring it to a size that training can use, and encode it as a JPEG.

Sizes, area averaging and JPEG bytes are those of img2dataset's `Resizer` (keep_ratio, only if
bigger), which builds a transform and moves the process's standard output around for every picture,
and so costs more and is not for several threads.
"""

import io
import math
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from PIL import Image

from schemas.errors import said, worded
from schemas.settings import CrawlSettings
from stages import pictures
from stages.crawl.reasons import Refused
from stages.pictures import jpeg
from stages.pictures.colour import Convert, conversion
from stages.pictures.decoding import orientation_of
from stages.pictures.refusal import BROKEN

# Decoders of WebP and AVIF hold the pixels twice, so of them we take smaller ones only.
TWICE = ((0, b"RIFF"), (4, b"ftyp"))
LARGEST_SHARE = 1.5  # of the training side, for the short side of what we keep (listing 1)

Shrunk = tuple[bytes | None, int | None, int | None, int | None, int | None, str | None]
Finish = Callable[[np.ndarray], np.ndarray]


class Shrink:
    """Takes the place of img2dataset's resizer; calls from several threads do not meet."""

    def __init__(self, cfg: CrawlSettings) -> None:
        cv2.setNumThreads(1)  # the actors are the parallelism
        self.max_pixels = cfg.max_pixels
        self.short = math.ceil(LARGEST_SHARE * cfg.side)
        self.side, self.enlarge_from = cfg.side, cfg.enlarge_from
        self.quality = [cv2.IMWRITE_JPEG_QUALITY, cfg.encode_quality]

    def __call__(self, stream: io.BytesIO, boxes: None = None) -> Shrunk:
        """Return (JPEG, width, height, original width, original height, error)."""
        try:
            pixels, finish = self._decode(stream.getvalue())
            small = finish(self._small(pixels))  # now, for the large one may be half a gigabyte
            written, data = cv2.imencode(".jpg", small, self.quality)
            if not written:
                raise Refused("not_an_image", "no JPEG can be so wide or high")
        except Refused as error:
            return None, None, None, None, None, str(error)
        except Image.DecompressionBombError as error:  # so large that Pillow looks no further
            return None, None, None, None, None, str(Refused("too_large", said(error)))
        except (cv2.error, *BROKEN) as error:
            refusal = Refused("not_an_image", worded(error))
            return None, None, None, None, None, str(refusal)
        (height, width), (original_height, original_width) = small.shape[:2], pixels.shape[:2]
        return data.tobytes(), width, height, original_width, original_height, None

    def _decode(self, data: bytes) -> tuple[np.ndarray, Finish]:
        """Return pixels, and what makes grey or BGR in sRGB of them once they are small.

        Raises Refused, or what the decoders raise.
        """
        if data.startswith(jpeg.START) and (found := self._fast(data)):
            return found
        # OpenCV would turn nothing upright, see nothing but white in 16 bits, and be content with
        # half a file of any format.
        try:
            return pictures.decode(data, self.max_pixels // copies(data)), _as_bgr
        except pictures.PictureError as error:
            if error.reason == "too_many_pixels":
                raise Refused("too_large", f"{error.detail} pixels") from error
            reason = "truncated" if error.reason == "truncated" else "not_an_image"
            raise Refused(reason, error.detail) from error

    def _fast(self, data: bytes) -> tuple[np.ndarray, Finish] | None:
        """Decode an upright and whole JPEG as OpenCV does; None if it takes more care than that.

        Raises Refused if it is too large.
        """
        try:
            image = Image.open(io.BytesIO(data), formats=("JPEG",))
        except OSError:
            return None  # who decodes it finds out why
        with image:
            width, height = image.size
            if width * height > self.max_pixels:
                raise Refused("too_large", f"{width} x {height} pixels")
            if image.format != "JPEG" or not jpeg.has_end(data) or orientation_of(image) != 1:
                return None
            in_srgb = conversion(image.mode, image.info.get("icc_profile"))
            if in_srgb is not None and image.mode == "CMYK":  # OpenCV makes BGR of it
                return None
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        return None if pixels is None else (pixels, partial(_in_srgb, in_srgb))

    def _small(self, pixels: np.ndarray) -> np.ndarray:
        """Average areas until the short side fits; enlarge one that is too short by little.

        What is in between stays as it is.
        """
        height, width = pixels.shape[:2]
        short = min(width, height)
        if short > self.short:
            wanted, way = self.short, cv2.INTER_AREA
        elif self.enlarge_from is not None and self.enlarge_from <= short < self.side:
            wanted, way = self.side, cv2.INTER_CUBIC
        else:
            return pixels
        sides = (max(1, round(width * wanted / short)), max(1, round(height * wanted / short)))
        return cv2.resize(pixels, sides, interpolation=way)


def copies(data: bytes) -> int:
    """Return how many times over the decoder of this file holds its pixels."""
    return 1 + any(data.startswith(word, place) for place, word in TWICE)


def _as_bgr(small: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(small, cv2.COLOR_RGB2BGR)


def _in_srgb(convert: Convert | None, small: np.ndarray) -> np.ndarray:
    if convert is None:
        return small
    rgb = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
    return _as_bgr(np.asarray(convert(Image.fromarray(rgb))))
