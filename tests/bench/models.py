"""How many pictures a second one core asks the filter's trained models about.

`python -m tests.bench.models`
"""

import cv2
import numpy as np

from stages.measure.nsfw import Nsfw
from stages.measure.writing import TextReader
from tests.bench.clock import cpu_each
from tests.bench.looks import picture

PICTURES = 12


def models() -> None:
    """Print rows a second of CPU time for each model, and beside them what one decoding takes."""
    rng = np.random.default_rng(0)
    drawn = [picture(rng) for _ in range(PICTURES)]
    for number, pixels in enumerate(drawn[::2]):  # half of them have something to read
        cv2.putText(pixels, f"preview {number}", (20, 120), 0, 1.5, (255, 255, 255), 3)
    files = [cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for p in drawn]
    for name, ask in (("nsfw", Nsfw().score), ("writing", TextReader().read)):
        ask(files[0])
        seconds = cpu_each(ask, files)
        print(f"{name}: {1 / seconds:,.1f} rows/s per core ({1000 * seconds:.0f} ms of CPU each)")


if __name__ == "__main__":
    models()
