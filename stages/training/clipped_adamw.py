"""AdamW whose running variance is clipped by value, as the paper's is (appendix B.2)."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from stages.training.distributed import local


class ClippedAdamW(torch.optim.Optimizer):
    """AdamW whose running variance is clipped by value before use (appendix B.2).

    With b1, b2 the decays, g a gradient and t the number of updates:

        m = b1 m + (1 - b1) g
        v = min(b2 v + (1 - b2) g^2, variance_clip)
        w = w - lr weight_decay w - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

    A square too large for float32 is infinite, and is clipped too.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, variance_clip: float, **options: Any
    ) -> None:
        super().__init__(groups, options)
        self.variance_clip = variance_clip

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            if weights := [weight for weight in group["params"] if weight.grad is not None]:
                self._update(weights, group)

    def _update(self, weights: list[nn.Parameter], group: dict[str, Any]) -> None:
        states = [self.state[weight] for weight in weights]
        updates = counted([state["step"] for state in states])
        lr, (beta1, beta2) = group["lr"], group["betas"]
        values = [local(weight) for weight in weights]
        gradients = [local(weight.grad) for weight in weights if weight.grad is not None]
        means = [local(state["exp_avg"]) for state in states]
        variances = [local(state["exp_avg_sq"]) for state in states]

        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(variances, beta2)
        torch._foreach_addcmul_(variances, gradients, gradients, value=1 - beta2)
        torch._foreach_clamp_max_(variances, self.variance_clip)

        # With c = sqrt(1 - b2^t), sqrt(v) / c + eps is (sqrt(v) + c eps) / c: one pass less.
        c = [math.sqrt(1 - beta2**t) for t in updates]
        roots: list[Tensor] = list(torch._foreach_sqrt(variances))
        torch._foreach_add_(roots, [group["eps"] * each for each in c])
        torch._foreach_mul_(values, 1 - lr * group["weight_decay"])
        by = [-lr * each / (1 - beta1**t) for each, t in zip(c, updates, strict=True)]
        torch._foreach_addcdiv_(values, means, roots, by)


def counted(steps: list[Tensor]) -> list[float]:
    """Add one to each number of updates and return them, with one transfer from the device."""
    torch._foreach_add_(steps, 1)
    return [float(t) for t in torch.stack(steps).tolist()]
