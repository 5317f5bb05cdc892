"""Priors of a few layers, three prompts and codes."""

import torch

from schemas.settings import PriorShape, TokenSpec
from stages.models.prior import Prior

TOKENS = TokenSpec(text_vocab=11, text_len=5, image_vocab=13, grid=4)
TEXT = torch.tensor([[3, 1, 4, 11, 11], [2, 7, 1, 8, 10], [5, 11, 11, 11, 11]])  # 11 is the pad


VARIANTS = {
    "paper": {},
    "dense": {"attention": "dense"},
    "rotary": {"positions": "rotary"},
    "qk_norm": {"qk_norm": True},
    "llama": {"block": "llama"},
    "all": {"attention": "dense", "positions": "rotary", "qk_norm": True, "block": "llama"},
}


def fresh(layers: int = 3, tokens: TokenSpec = TOKENS, **shape) -> Prior:
    sizes = {"heads": 2, "head_dim": 4, "conv_kernel": 3} | shape
    return Prior(tokens, PriorShape(layers=layers, **sizes))


def noisy(layers: int = 3, tokens: TokenSpec = TOKENS, **shape) -> Prior:
    """A prior whose every weight matters, unlike a fresh one's (its heads are zero)."""
    torch.manual_seed(0)
    prior = fresh(layers, tokens, **shape).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.normal_(std=0.3)
    return prior


def random_codes(*shape: int) -> torch.Tensor:
    return torch.randint(13, shape, generator=torch.Generator().manual_seed(1))
