"""Pictures with the statistics of photographs: detail at every size, most of it in large parts."""

import cv2
import numpy as np

SIZES = (1, 2, 3, 5, 9, 17, 40, 90, 200)  # pixels across of the blobs that are laid over each other


def photograph(seed, width, height):
    """Return BGR pixels."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for size in SIZES:
        coarse = rng.standard_normal((height // size + 2, width // size + 2, 3), np.float32)
        pixels += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * size**0.75
    pixels = (pixels - pixels.mean()) / pixels.std() * 50 + 120
    return pixels.clip(0, 255).astype(np.uint8)


def jpeg(pixels, quality=92):
    """Return the file; a photograph of 800 x 600 has about 85 kB at 92 and 112 kB at 95."""
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
