"""Training in float16: each residual branch scales its own gradients.

Paper: section 2.4, figure 4 and appendix D.1. Gradients of activations shrink with depth by more
than float16 can hold, so a single scale is too small somewhere and too large elsewhere. In the
backward pass a branch's gradient is multiplied by its scale before it is rounded to float16, and
divided by it before it joins the others in float32. What overflowed in between is dropped there,
so that it does not spoil the branches below. It still shows in the branch's own weights: the
update is skipped, and only this scale is lowered.

The paper multiplies its bounds by M, the number of replicas, because it divides the loss by the
rows of all replicas. Here `Trainer` multiplies a worker's share of the loss by the world size, and
the reduction divides by it afterwards, in float32. So M is 1.
"""

from collections.abc import Iterable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from stages.training.distributed import DistributedContext, local

BRANCHES = ("attention", "mlp")  # of a layer: each adds its output to its input
START, LOWEST, HIGHEST = 2.0**13, 2.0**7, 2.0**24
RAISE = 2 ** (1 / 1_000)  # after every update in which nothing overflowed
LOWER = 2 ** (-1 / 2)
REST = 125  # a scale is lowered at most once in so many updates
SKIPS_WHILE_SCALING = 4 * REST  # in a row, before a run is given up: they quarter a scale


class ScaleUp(torch.autograd.Function):
    """The end of a branch: its gradient is scaled, then rounded to float16."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, scale: Tensor) -> Tensor:
        ctx.scale, ctx.inside = scale, y.dtype
        return y.float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return (gradient * ctx.scale).to(ctx.inside), None


class ScaleDown(torch.autograd.Function):
    """The start of a branch: its gradient is unscaled in float32, without what overflowed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return gradient.float().nan_to_num(0.0, 0.0, 0.0) / ctx.scale, None


class GradientScales:
    """The scale of each residual branch, and the step at which it was last lowered."""

    def __init__(self, layers: Iterable[nn.Module], context: DistributedContext) -> None:
        self.context = context
        self.branches = [layer.get_submodule(name) for layer in layers for name in BRANCHES]
        number = len(self.branches)
        self.scales = torch.full((number,), START, device=context.device)
        self.lowered = torch.full((number,), -REST, device=context.device)
        for branch, scale in zip(self.branches, self.scales, strict=True):
            branch.scale = scale
            branch.forward = MethodType(_scaled, branch)

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {"scales": self.scales, "lowered": self.lowered}

    @torch.no_grad()
    def unscale(self, step: int) -> None:
        """Divide the gradients of each branch's weights by its scale, then adapt the scales.

        What is not finite stays so, and the update is skipped. All workers take part.
        """
        finite = torch.ones_like(self.scales)
        for number, branch in enumerate(self.branches):
            found = [local(w.grad) for w in branch.parameters() if w.grad is not None]
            if found:
                torch._foreach_div_(found, self.scales[number])
                finite[number] = torch.stack([g.isfinite().all() for g in found]).all()
        if self.context.world_size > 1:
            torch.distributed.all_reduce(finite, torch.distributed.ReduceOp.MIN)
        overflowed = finite == 0
        lower = overflowed & (step - self.lowered >= REST)
        self.scales.mul_(torch.where(overflowed, torch.where(lower, LOWER, 1.0), RAISE))
        self.scales.clamp_(LOWEST, HIGHEST)
        self.lowered.masked_fill_(lower, step)


def _scaled(branch: nn.Module, x: Tensor, *args: Any) -> Tensor:
    """The forward pass of a scaled branch; one function for all, so that it is compiled once."""
    x = ScaleDown.apply(x, branch.scale)  # type: ignore[no-untyped-call]
    y = type(branch).forward(branch, x, *args)
    return ScaleUp.apply(y, branch.scale)  # type: ignore[no-untyped-call]
