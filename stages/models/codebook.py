"""Codebook usage: how many codes a set of pictures uses, and how evenly.

Dimensions: K codes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor


def code_counts(codes: Int[Tensor, "..."], image_vocab: int) -> Int[Tensor, " K"]:
    """Return how often each code occurs; counts of several batches add up."""
    return torch.bincount(codes.flatten(), minlength=image_vocab)


class CodebookHealth(NamedTuple):
    """Codes that occur at all, and the perplexity of their frequencies (K if all are equal)."""

    used: int
    perplexity: float


def codebook_health(counts: Int[Tensor, " K"]) -> CodebookHealth:
    """Measure the codebook's usage from how often each code occurred."""
    frequency = counts.double() / counts.sum().clamp_min(1)  # of nothing, no code is frequent
    entropy = -torch.special.xlogy(frequency, frequency).sum()
    return CodebookHealth(used=int((counts > 0).sum()), perplexity=entropy.exp().item())
