"""AdamW as the paper uses it: weight decay on matrices, an upper bound on the running variance."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from schemas.configs import FitSettings


class AdamW(torch.optim.AdamW):
    """Fused AdamW whose running variance is clipped by value before use (appendix B.2)."""

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, variance_clip: float | None, **options: Any
    ) -> None:
        super().__init__(groups, fused=True, **options)
        self.variance_clip = variance_clip
        for group in self.param_groups:
            for weight in group["params"]:  # made lazily otherwise, too late to clip the first step
                self.state[weight] = {
                    "step": torch.zeros((), dtype=torch.float32, device=weight.device),
                    "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
                    "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
                }

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Update the weights from their gradients."""
        if self.variance_clip is not None:
            for group in self.param_groups:
                self._make_room(group, self.variance_clip)
        return super().step(closure)

    def _make_room(self, group: dict[str, Any], bound: float) -> None:
        """Lower the variance so that what the fused kernel makes of it is at most `bound`.

        The kernel computes v' = b2 v + (1 - b2) g^2, so v' <= bound is v <= (bound - (1 - b2) g^2)
        / b2: the same as clipping v' before it is used, without a kernel of our own.
        """
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        beta2 = group["betas"][1]
        gradients = [weight.grad for weight in weights]
        room = torch._foreach_mul(gradients, gradients)
        torch._foreach_mul_(room, -(1 - beta2) / beta2)
        torch._foreach_add_(room, bound / beta2)
        torch._foreach_minimum_([self.state[weight]["exp_avg_sq"] for weight in weights], room)


def make(model: nn.Module, fit: FitSettings) -> AdamW:
    """Return the optimizer of a run; gains and biases (under two dimensions) do not decay."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return AdamW(
        [
            {"params": [w for w in weights if w.ndim >= 2], "weight_decay": fit.weight_decay},
            {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
        ],
        variance_clip=fit.variance_clip,
        lr=fit.lr,
        betas=(fit.beta1, fit.beta2),
        eps=1e-8,
    )
