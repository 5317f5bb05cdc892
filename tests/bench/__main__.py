"""Print the benchmarks: `make bench`."""

import time

import torch

from schemas.configs import PriorShape, TokenSpec
from stages.models.prior import Prior
from stages.models.sampler import sample
from tests.bench import captions, crawl, dvae, encode, inspection, prior, token_reader
from tests.bench.looks import looks
from tests.bench.models import models
from tests.bench.near import near_duplicates

TOKENS = TokenSpec(text_vocab=512, text_len=16, image_vocab=256, grid=12)
CANDIDATES = 64
LENGTHS = 5  # full forwards are timed at so many lengths and their mean taken as every step's


def drawing() -> None:
    """Compare seconds a picture with the cache against a full forward pass for each code."""
    model = Prior(TOKENS, PriorShape(layers=4, heads=4, head_dim=32)).eval()
    text = torch.randint(512, (1, TOKENS.text_len))
    seeds = torch.arange(CANDIDATES)[None]
    with torch.inference_mode():
        started = time.perf_counter()
        sample(model, text, seeds, tile=CANDIDATES)
        cached = time.perf_counter() - started

        batch = text.expand(CANDIDATES, -1)
        started = time.perf_counter()
        for number in range(LENGTHS):
            length = number * (TOKENS.image_len - 1) // (LENGTHS - 1)
            model(batch, torch.zeros(CANDIDATES, length, dtype=torch.long))
        uncached = (time.perf_counter() - started) / LENGTHS * TOKENS.image_len
    print(
        f"drawing {CANDIDATES} candidates of {TOKENS.image_len} codes: "
        f"{1000 * cached / CANDIDATES:.1f} ms each with the cache, {uncached / cached:.1f} times "
        f"quicker than full forward passes (timed at {LENGTHS} lengths)"
    )


if __name__ == "__main__":
    drawing()
    captions.main()
    looks()
    models()
    near_duplicates()
    crawl.main()
    dvae.main()
    encode.main()
    inspection.main()
    prior.main()
    token_reader.main()
