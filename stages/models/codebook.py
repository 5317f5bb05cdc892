"""How much of a codebook a set of pictures uses."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor


def code_counts(codes: Int[Tensor, "..."], image_vocab: int) -> Int[Tensor, " K"]:
    """Count how often each code occurs; counts of several batches add up."""
    return torch.bincount(codes.flatten(), minlength=image_vocab)


class CodebookHealth(NamedTuple):
    """How much of the codebook a set of pictures uses."""

    used: int  # codes that occur at all
    perplexity: float  # codes as if all were equally frequent


def codebook_health(counts: Int[Tensor, " K"]) -> CodebookHealth:
    """Judge the codebook by how often each code occurred."""
    frequency = counts.double() / counts.sum().clamp_min(1)  # of nothing, no code is frequent
    entropy = -torch.special.xlogy(frequency, frequency).sum()
    return CodebookHealth(used=int((counts > 0).sum()), perplexity=entropy.exp().item())
