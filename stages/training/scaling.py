"""Training in float16: every residual branch has a scale of its own for its gradients.

Paper: section 2.4, figure 4 and appendix D.1. Gradients of activations shrink with depth, by more
than float16 can hold, so one scale for all is too small somewhere and too large elsewhere. On the
way back, a branch's part of the gradient is multiplied by its scale before it is rounded to
float16, and divided by it before it joins the others in float32. What overflowed in between is
dropped there, so that it does not spoil the branches below. It shows in the branch's own weights:
the update is skipped, and this scale alone is lowered.

Of M, the replicas by which the paper multiplies its bounds: it divides the loss by the rows of all
replicas, and so has gradients that are M times smaller than those of a replica's own mean. We do
not: the loop multiplies a worker's share of the loss by the number of workers, and what adds up
over workers divides by it afterwards, in float32. So M is 1 here.
"""

from collections.abc import Iterable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from schemas.settings import FitSettings
from stages.training.spread import local
from stages.training.task import Place

BRANCHES = ("attention", "mlp")  # of a block: each adds what it returns to what it was given
START, LOWEST, HIGHEST = 2.0**13, 2.0**7, 2.0**24
RAISE = 2 ** (1 / 1_000)  # after every update in which nothing overflowed
LOWER = 2 ** (-1 / 2)
REST = 125  # updates in which a scale is lowered once at most
SKIPS_WHILE_SCALING = 4 * REST  # in a row, before a run is given up: they quarter a scale


class ScaleUp(torch.autograd.Function):
    """The end of a branch: float32 outside, float16 with scaled gradients inside."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, scale: Tensor) -> Tensor:
        """Join the float32 residual stream."""
        ctx.scale, ctx.inside = scale, y.dtype
        return y.float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Multiply first, round then."""
        (gradient,) = gradients
        return (gradient * ctx.scale).to(ctx.inside), None


class ScaleDown(torch.autograd.Function):
    """The start of a branch: what comes back is filtered, and divided by the scale."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        """Leave the residual stream as it is."""
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Let nothing through that is not finite."""
        (gradient,) = gradients
        return gradient.float().nan_to_num(0.0, 0.0, 0.0) / ctx.scale, None


class Scales:
    """The scale of each residual branch, and when it was last lowered."""

    def __init__(self, blocks: Iterable[nn.Module], place: Place) -> None:
        self.place = place
        self.branches = [block.get_submodule(name) for block in blocks for name in BRANCHES]
        number = len(self.branches)
        self.scales = torch.full((number,), START, device=place.device)
        self.lowered = torch.full((number,), -REST, device=place.device)  # at this step
        for branch, scale in zip(self.branches, self.scales, strict=True):
            branch.scale = scale
            branch.forward = MethodType(_scaled, branch)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Return what updates change."""
        return {"scales": self.scales, "lowered": self.lowered}

    @torch.no_grad()
    def undo(self, step: int) -> None:
        """Divide the gradients of each branch's weights by its scale, then change the scales.

        What is not finite stays so, and with it the update is skipped. All workers take part.
        """
        finite = torch.ones_like(self.scales)
        for number, branch in enumerate(self.branches):
            found = [local(w.grad) for w in branch.parameters() if w.grad is not None]
            if found:
                torch._foreach_div_(found, self.scales[number])
                finite[number] = torch.stack([g.isfinite().all() for g in found]).all()
        if self.place.world > 1:
            torch.distributed.all_reduce(finite, torch.distributed.ReduceOp.MIN)
        overflowed = finite == 0
        lower = overflowed & (step - self.lowered >= REST)
        self.scales.mul_(torch.where(overflowed, torch.where(lower, LOWER, 1.0), RAISE))
        self.scales.clamp_(LOWEST, HIGHEST)
        self.lowered.masked_fill_(lower, step)


def _scaled(branch: nn.Module, x: Tensor, *args: Any) -> Tensor:
    """Compute a branch; one method for all of them, so that it is compiled once."""
    x = ScaleDown.apply(x, branch.scale)  # type: ignore[no-untyped-call]
    y = type(branch).forward(branch, x, *args)
    return ScaleUp.apply(y, branch.scale)  # type: ignore[no-untyped-call]


def scaling(blocks: Iterable[nn.Module], cfg: FitSettings, place: Place) -> Scales | None:
    """Return the scales of a run in float16; other runs need none."""
    return Scales(blocks, place) if cfg.precision == "float16" else None
