"""Decode a picture from a stranger, shrink it to what is worth keeping, and encode it as a JPEG.

Sizes, area averaging and JPEG bytes are those of img2dataset's `Resizer` (keep_ratio, only if
bigger), which builds a transform and moves the process's standard output around for every picture,
and so costs more and is not for several threads.
"""

import io
import math

import cv2
import numpy as np
from PIL import Image

from schemas.configs import CrawlJob
from stages import pictures
from stages.crawl.reasons import Refused

LARGEST_SHARE = 1.5  # of the training side, for the short side of what we keep (listing 1)
EXIF_ORIENTATION = 0x0112

Shrunk = tuple[bytes | None, int | None, int | None, int | None, int | None, str | None]


class Shrink:
    """Takes the place of img2dataset's resizer; calls from several threads do not meet."""

    def __init__(self, cfg: CrawlJob) -> None:
        cv2.setNumThreads(1)  # the actors are the parallelism
        self.max_pixels = cfg.max_pixels
        self.short = math.ceil(LARGEST_SHARE * cfg.side)
        self.quality = [cv2.IMWRITE_JPEG_QUALITY, cfg.encode_quality]

    def __call__(self, stream: io.BytesIO, boxes: None = None) -> Shrunk:
        """Return (JPEG, width, height, original width, original height, error)."""
        try:
            pixels = self._decode(stream.getvalue())
            small = self._small(pixels)
            written, data = cv2.imencode(".jpg", small, self.quality)
            if not written:
                raise Refused("not_an_image", "no JPEG can be so wide or high")
        except Refused as error:
            return None, None, None, None, None, str(error)
        except Image.DecompressionBombError as error:  # so large that Pillow looks no further
            return None, None, None, None, None, str(Refused("too_large", str(error)))
        except (cv2.error, *pictures.BROKEN) as error:
            refusal = Refused("not_an_image", f"{type(error).__name__}: {error}")
            return None, None, None, None, None, str(refusal)
        (height, width), (original_height, original_width) = small.shape[:2], pixels.shape[:2]
        return data.tobytes(), width, height, original_width, original_height, None

    def _decode(self, data: bytes) -> np.ndarray:
        """Return BGR or grey pixels.

        Raises Refused, or what the decoders raise.
        """
        with Image.open(io.BytesIO(data), formats=pictures.FORMATS) as image:
            width, height = image.size
            if width * height > self.max_pixels:
                raise Refused("too_large", f"{width} x {height} pixels")
            upright = image.getexif().get(EXIF_ORIENTATION, 1) == 1
            if image.format == "JPEG" and upright:
                pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
                if pixels is None:
                    raise Refused("not_an_image", "OpenCV cannot decode it")
                return pixels
        # OpenCV would turn nothing upright, see nothing but white in 16 bits, and be content with
        # half a file of any format but JPEG.
        try:
            rgb = pictures.decode(data, self.max_pixels)
        except pictures.PictureError as error:
            raise Refused("not_an_image", str(error)) from error
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)

    def _small(self, pixels: np.ndarray) -> np.ndarray:
        """Average areas until the short side fits; what is small enough stays as it is."""
        height, width = pixels.shape[:2]
        if min(width, height) <= self.short:
            return pixels
        scale = self.short / min(width, height)
        sides = (max(1, round(width * scale)), max(1, round(height * scale)))
        return cv2.resize(pixels, sides, interpolation=cv2.INTER_AREA)
