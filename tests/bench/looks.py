"""How many pictures a second one core decodes small, hashes and measures.

`python -m tests.bench.looks`
"""

import cv2
import numpy as np

from stages.pictures.looks import contrast, glance, perceptual_hash
from tests.bench.clock import cpu_each

PICTURES = 60
ROUNDS = 10
SHORT_SIDES = (256, 385)  # as stored by the crawl


def picture(rng: np.random.Generator) -> np.ndarray:
    """Return noise whose power falls with frequency as in photographs, in three channels."""
    short = int(rng.integers(*SHORT_SIDES))
    height, width = short, int(short * rng.uniform(1, 1.6))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    layers = []
    for _ in range(4):
        real, imaginary = rng.standard_normal((2, *frequency.shape))
        layer = np.fft.irfft2((real + 1j * imaginary) / frequency**1.2, (height, width))
        layers.append(layer / layer.std())
    levels = np.stack([layers[0] + 0.4 * layer for layer in layers[1:]], axis=-1) * 40 + 128
    return np.clip(levels, 0, 255).astype(np.uint8)


def looks() -> None:
    """Print pictures a second per core, and the share of the whole decoding that a glance costs."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    drawn = [picture(rng) for _ in range(PICTURES)]
    files = [cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for p in drawn]

    def look(number: int) -> None:
        seen = glance(files[number], *drawn[number].shape[:2])
        assert seen is not None
        perceptual_hash(seen)
        contrast(seen)

    def decode(data: bytes) -> None:
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)

    all_three = cpu_each(look, range(PICTURES), ROUNDS)
    whole = cpu_each(decode, files, ROUNDS)
    kilobytes = sum(map(len, files)) / PICTURES / 1000
    print(
        f"perceptual hash and contrast of stored pictures ({kilobytes:.0f} kB each): "
        f"{1 / all_three:,.0f} rows/s per core, {all_three / whole:.2f} of the time that only "
        f"decoding them whole takes"
    )


if __name__ == "__main__":
    looks()
