"""Muon: matrices inside layers move along the polar factor of their momentum (Jordan et al. 2024).

With G the gradient of a matrix of m rows and n columns, and U S V^T the singular values of B:

    M = 0.95 M + 0.05 G
    B = 0.95 M + 0.05 G                                  (Nesterov)
    W = W - lr weight_decay W - lr 0.2 sqrt(max(m, n)) U V^T

The factor makes the mean square of a step as large as AdamW's usually is, so both share one
learning rate and one weight decay (Liu et al. 2025, "Muon is scalable for LLM training"). U V^T is
found by five Newton-Schulz steps, which leave singular values between 0.7 and 1.2: near enough.
All other weights (embeddings, heads, gains, biases) learn by AdamW.

Queries, keys and values are one weight here, and three matrices to Muon.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stages.training.clipped_adamw import ClippedAdamW
from stages.training.powersgd import matrices

MOMENTUM = 0.95
STEP = 0.2  # root mean square of a step, in learning rates
NEWTON_SCHULZ = 5  # iterations of x -> (a + b x x^T + c (x x^T)^2) x
A, B, C = 3.4445, -4.7750, 2.0315
TINY = 1e-20  # of a norm: a gradient of zeros moves nothing


class Muon(ClippedAdamW):
    """Muon for the groups marked `muon`, AdamW for the others; products are in type `product`."""

    def __init__(self, *groups: Any, product: torch.dtype, **options: Any) -> None:
        super().__init__(*groups, **options)
        self.product = product

    def _update(self, weights: list[nn.Parameter], group: dict[str, Any]) -> None:
        if not group.get("muon"):
            super()._update(weights, group)
            return
        for weight in weights:
            assert weight.grad is not None
            momentum, lr = self.state[weight]["exp_avg"], group["lr"]
            momentum.lerp_(weight.grad, 1 - MOMENTUM)
            ahead = weight.grad.lerp(momentum, MOMENTUM)
            values = weight.detach().mul_(1 - lr * group["weight_decay"])
            for part, b in zip(matrices(values, weight), matrices(ahead, weight), strict=True):
                by = lr * STEP * math.sqrt(max(part.shape))
                part.sub_(polar_factor(b, self.product), alpha=by)


def polar_factor(
    lying: Float[Tensor, "m n"], product: torch.dtype = torch.float32
) -> Float[Tensor, "m n"]:
    """Return U V^T of a matrix U S V^T of no more rows than columns, its S roughly ones."""
    x = (lying / lying.norm().clamp_min(TINY)).to(product)
    for _ in range(NEWTON_SCHULZ):
        gram = x @ x.T
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x.to(lying.dtype)
