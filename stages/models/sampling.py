"""How one code is drawn from logits: guidance, temperature, top-k and top-p, in this order.

Paper: section 2.6 (temperature 1, all codes allowed). Beyond it: classifier-free guidance (Ho and
Salimans 2021), for priors that were trained with some captions left out; top-k; and top-p (Holtzman
et al. 2020). `sampler` draws whole pictures with it.

Dimensions: l lanes, c candidates (rows) of a lane, K image codes, I image length.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float64, Int
from torch import Tensor

from stages.hashing import hash_bits


class SamplingParams(NamedTuple):
    """How codes are drawn from logits; the defaults are the paper's."""

    temperature: float = 1.0  # below 1: likelier codes more often
    top_k: int = 0  # only so many of the likeliest codes; 0 for all
    top_p: float = 1.0  # only the likeliest codes that reach this probability together
    guidance: float = 1.0  # above 1: closer to the caption; 1: no guidance; 0: no caption

    @property
    def guided(self) -> bool:
        """Say whether logits without the caption are needed too, at twice the work."""
        return self.guidance != 1


DEFAULT_SAMPLING = SamplingParams()


def candidate_seed(seed: int, prompt: str, candidate: int) -> int:
    """Return the seed of one picture: 63 bits that depend on nothing else."""
    return hash_bits(f"{seed}\n{candidate}\n{prompt}", 63)


def uniforms(seed: int, count: int) -> Float64[Tensor, " I"]:
    """Return a picture's random numbers in [0, 1), one for each of its codes."""
    return torch.from_numpy(np.random.Generator(np.random.Philox(key=seed)).random(count))


def guide(
    conditional: Float[Tensor, "l c K"], unconditional: Float[Tensor, "l c K"], guidance: float
) -> Float[Tensor, "l c K"]:
    """Move logits from those of the empty caption towards the caption's, and past them above 1."""
    return unconditional + guidance * (conditional - unconditional)


def sample_code(
    logits: Float[Tensor, "l c K"], uniform: Float64[Tensor, "l c"], sampling: SamplingParams
) -> Int[Tensor, "l c"]:
    """Draw one code per row from the softmax, by inverting its cumulative sum.

    `logits` are guided already. With `top_k` > 0 exactly so many codes can come, also where several
    tie for the last place; with `top_p` < 1, of these the fewest that reach it together.
    """
    scaled = logits.double() / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        values, kept = scaled.topk(sampling.top_k)
        scaled = torch.full_like(scaled, -math.inf).scatter(-1, kept, values)
    probability = scaled.softmax(dim=-1)
    if sampling.top_p < 1:
        falling, order = probability.sort(dim=-1, descending=True, stable=True)
        falling = falling.where(falling.cumsum(dim=-1) - falling < sampling.top_p, 0)
        probability = torch.zeros_like(falling).scatter(-1, order, falling)
    cumulative = probability.cumsum(dim=-1)
    cumulative = cumulative / cumulative[..., -1:]  # ends at exactly 1, more than any uniform
    drawn = torch.searchsorted(cumulative, uniform[..., None].contiguous(), right=True)
    return rearrange(drawn, "l c 1 -> l c")
