"""One code of one picture: how it is drawn from logits, and where its luck comes from.

Paper: section 2.6 (temperature 1, all codes allowed). Beyond it: top-k, top-p (Holtzman et al.
2020), and guidance (Ho and Salimans 2021), which `sampler` explains.

Dimensions: l lanes, c candidates (rows) of a lane, K image codes, I image length.
"""

import hashlib
import math
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float64, Int
from torch import Tensor


def candidate_seed(seed: int, prompt: str, candidate: int) -> int:
    """Derive the seed of one picture: 63 bits that depend on nothing else."""
    digest = hashlib.sha256(f"{seed}\n{candidate}\n{prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def uniforms(seed: int, count: int) -> Float64[Tensor, " I"]:
    """Return a picture's random numbers in [0, 1), one for each of its codes."""
    return torch.from_numpy(np.random.Generator(np.random.Philox(key=seed)).random(count))


class Odds(NamedTuple):
    """How codes are drawn from logits; as they come, in the paper."""

    temperature: float = 1.0
    top_k: int = 0  # likeliest codes that can come; 0 for all
    top_p: float = 1.0  # probability that the likeliest codes must reach together
    guidance: float = 1.0  # 1: the caption as the model takes it; 0: no caption

    @property
    def guided(self) -> bool:
        """Say whether every row is computed without its caption, too."""
        return self.guidance != 1


AS_THEY_COME = Odds()


def choose(
    logits: Float[Tensor, "l c K"], uniform: Float64[Tensor, "l c"], odds: Odds
) -> Int[Tensor, "l c"]:
    """Draw one code per row from the softmax, by inverting its cumulative sum.

    With `top_k` > 0 exactly so many codes can come, also where several tie for the last place; with
    `top_p` < 1, of these the fewest that reach it together.
    """
    scaled = logits.double() / odds.temperature
    if 0 < odds.top_k < logits.shape[-1]:
        values, kept = scaled.topk(odds.top_k)
        scaled = torch.full_like(scaled, -math.inf).scatter(-1, kept, values)
    probability = scaled.softmax(dim=-1)
    if odds.top_p < 1:
        falling, order = probability.sort(dim=-1, descending=True, stable=True)
        falling = falling.where(falling.cumsum(dim=-1) - falling < odds.top_p, 0)
        probability = torch.zeros_like(falling).scatter(-1, order, falling)
    cumulative = probability.cumsum(dim=-1)
    cumulative = cumulative / cumulative[..., -1:]  # ends at exactly 1, more than any uniform
    chosen = torch.searchsorted(cumulative, uniform[..., None].contiguous(), right=True)
    return rearrange(chosen, "l c 1 -> l c")
