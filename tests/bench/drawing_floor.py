"""The least time in which pictures can be drawn: by what must be read, and by what is multiplied.

Every step reads all weights, the keys and values of the prompt once, and of each candidate those
that the masks let it see; and it multiplies every row by all weights. The larger of the two times
is the floor. Memory is read at the rate of a large copy, counted in both directions.
"""

from typing import NamedTuple

import torch

from schemas.settings import PriorShape, TokenSpec
from stages.models.masks import make_mask
from stages.models.prior import Prior
from tests.bench.on_gpu import seconds

HEAD_BYTES = 4  # the image head stays in 32 bits
COPIES = 20  # of memory, to time one


class Machine(NamedTuple):
    """What it can do at best, as measured."""

    bandwidth: float  # bytes a second, read or written
    flops: float  # a second, of a large product

    def __str__(self) -> str:
        return (
            f"{self.bandwidth / 1e9:,.0f} GB/s of a copy, read and written; "
            f"{self.flops / 1e12:,.2f} TFLOP/s of a product"
        )


class Step(NamedTuple):
    """What one code of every row costs, in the mean over a picture."""

    weights: float  # bytes
    prompt: float  # bytes
    codes: float  # bytes
    flops: float

    def seconds(self, machine: Machine) -> float:
        read = self.weights + self.prompt + self.codes
        return max(read / machine.bandwidth, self.flops / machine.flops)

    def limit(self, machine: Machine) -> str:
        read = self.weights + self.prompt + self.codes
        return "memory" if read / machine.bandwidth > self.flops / machine.flops else "products"


def step_of(tokens: TokenSpec, shape: PriorShape, rows: int, number: int) -> Step:
    """Count for candidates of one prompt, all at once, with numbers of so many bytes."""
    with torch.device("meta"):
        prior = Prior(tokens, shape)
    blocks = sum(w.numel() for w in prior.blocks.parameters())
    head = prior.image_head.weight.numel()
    text, width = prior.text_slots, shape.width
    masks = {name: make_mask(name, prior.layout)[text:, text:] for name in set(prior.mask_names)}
    seen = sum(masks[name].sum().item() / len(masks[name]) for name in prior.mask_names)
    read = seen + text * shape.layers  # slots, over all layers
    return Step(
        weights=blocks * number + head * HEAD_BYTES,
        prompt=2 * text * width * shape.layers * number,
        codes=2 * seen * width * rows * number,
        flops=rows * (2 * (blocks + head) + 4 * width * read),
    )


def bandwidth(device: torch.device, megabytes: int) -> float:
    """Return bytes a second of a copy that no cache holds."""
    one = torch.ones(megabytes * 2**20, dtype=torch.uint8, device=device)
    other = torch.empty_like(one)
    return 2 * one.nbytes / seconds(lambda: other.copy_(one), COPIES, device)
