"""All that a resumed run needs: weights, their EMA, the optimizer's moments, the step, counters.

The rows of a batch and the noise of an update are not stored: they follow from the seed and the
step. Add here whatever else a run changes and cannot derive: a tree of tensors is one line in
`tensors`, a field of plain JSON one name in NUMBERS.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from schemas.settings import FitSettings
from stages.training import optimizer, schedules
from stages.training.distributed import DistributedContext
from stages.training.gradient_scaling import GradientScales
from stages.training.powersgd import PowerSGD
from stages.training.schedules import Plateau

NUMBERS = (  # fields of a State, equal on all workers
    "step", "skipped", "skipped_in_a_row", "skipped_late", "without_rows", "first_loss",
    "late_loss", "late_made",
)  # fmt: skip


class Ema:
    """An exponential moving average of a model's weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = dict(model.named_parameters())
        self.values = {name: weight.detach().clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights."""
        weights: list[Tensor] = list(self.weights.values())
        torch._foreach_lerp_(list(self.values.values()), weights, 1 - self.decay)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Put the averaged weights into the model for the length of a block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, weight in self.weights.items():
            self.values[name], weight.data = weight.data, self.values[name]


@dataclass
class Best:
    """The averaged weights with the lowest validation loss so far; all workers agree."""

    values: dict[str, Tensor]
    loss: float = math.inf
    step: int = 0  # 0: none yet

    @torch.no_grad()
    def offer(self, values: Mapping[str, Tensor], loss: float, step: int) -> None:
        """Take averaged weights whose loss is lower than any before."""
        if loss < self.loss:
            for name, value in values.items():  # sharded ones have no copy of all at once
                self.values[name].copy_(value)
            self.loss, self.step = loss, step


@dataclass
class State:
    """A run between two updates; `step` counts those made and those skipped."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: Ema
    step: int = 0
    skipped: int = 0  # updates whose gradient was not finite, or that had no rows
    skipped_in_a_row: int = 0
    skipped_late: int = 0  # among the last updates of the run
    without_rows: int = 0  # skipped because no worker had a usable row
    first_loss: float | None = None  # of the first update that was made
    late_loss: float = 0.0  # sum over those of the run's last updates that were made
    late_made: int = 0  # so many of them
    plateau: Plateau = field(default_factory=Plateau)
    scales: GradientScales | None = None  # only in float16
    compression: PowerSGD | None = None  # only with powersgd_rank
    best: Best | None = None  # only with best_of

    @classmethod
    def fresh(cls, model: nn.Module, fit: FitSettings, layers: Iterable[nn.Module] = ()) -> "State":
        average = Ema(model, schedules.ema_decay(fit))
        state = cls(model, optimizer.make(model, fit, layers), average)
        if fit.best_of > 1:
            state.best = Best({name: value.clone() for name, value in average.values.items()})
        return state

    def ended(self, fit: FitSettings) -> bool:
        """Return whether the run has made its updates, or no average was better for too long.

        At a step that measures one, this holds only after the choice.
        """
        if fit.stop_after is not None and self.best is not None:
            since = schedules.choices(self.step, fit) - schedules.choices(self.best.step, fit)
            if since >= fit.stop_after:
                return True
        return self.step >= fit.steps

    @property
    def tensors(self) -> dict[str, Any]:
        """All tensors that updates change: replicated on all workers, or sharded."""
        weights, moments = self.model.named_parameters(), self.optimizer.state
        changed = {
            "model": self.model.state_dict(),
            "average": self.ema.values,
            "optimizer": {name: moments[w] for name, w in weights if w in moments},
        }
        if self.scales is not None:
            changed["scales"] = self.scales.tensors
        if self.compression is not None:
            changed["errors"] = self.compression.errors
        if self.best is not None:
            changed["best"] = self.best.values
        return changed

    @property
    def numbers(self) -> dict[str, Any]:
        """All else that updates change, as JSON."""
        found = {name: getattr(self, name) for name in NUMBERS} | {"plateau": vars(self.plateau)}
        if self.best is not None:
            found["best"] = {"loss": self.best.loss, "step": self.best.step}
        return found

    @numbers.setter
    def numbers(self, saved: Mapping[str, Any]) -> None:
        for name in NUMBERS:
            setattr(self, name, saved[name])
        self.plateau = Plateau(**saved["plateau"])
        if self.best is not None:
            self.best = Best(self.best.values, **saved["best"])

    @contextmanager
    def ema_model(
        self, build: Callable[[], nn.Module], context: DistributedContext
    ) -> Iterator[nn.Module | None]:
        """Yield the model with EMA weights: swapped in place, or gathered on rank 0 if sharded.

        All workers of a sharded run take part, one weight at a time; the others get None.
        """
        if not isinstance(self.model, FSDPModule):
            with self.ema.swapped_in():
                yield self.model
            return
        copy = build().to(context.device) if context.rank == 0 else None
        weights = dict(copy.named_parameters()) if copy is not None else {}
        with torch.no_grad():
            for name, value in self.ema.values.items():
                whole = value.full_tensor() if isinstance(value, DTensor) else value
                if copy is not None:
                    weights[name].copy_(whole.reshape(weights[name].shape))
        yield copy
