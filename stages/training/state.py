"""All that a resumed run needs: weights, their average, the optimizer's moments, the step.

Nothing else has to be stored: the rows of a batch and the noise of an update are functions of the
seed and the step. What else changes along a run and does not follow from those belongs here: a
tree of tensors is one line in `tensors`, a field of plain JSON one name in NUMBERS.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from schemas.settings import FitSettings
from stages.training import optimizer, schedules
from stages.training.plateau import Plateau
from stages.training.powersgd import PowerSGD
from stages.training.scaling import Scales
from stages.training.task import Place

NUMBERS = (  # fields of a State, the same on all workers
    "step",
    "skipped",
    "skipped_in_a_row",
    "skipped_late",
    "without_rows",
    "first_loss",
    "late_loss",
    "late_made",
)


class Average:
    """An exponential moving average of a model's weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = dict(model.named_parameters())
        self.values = {name: weight.detach().clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def refresh(self) -> None:
        """Move the average towards the weights of now."""
        weights: list[Tensor] = list(self.weights.values())
        torch._foreach_lerp_(list(self.values.values()), weights, 1 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averaged weights into the model for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, weight in self.weights.items():
            self.values[name], weight.data = weight.data, self.values[name]


@dataclass
class State:
    """A run between two updates; `step` updates were made or skipped."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average
    step: int = 0
    skipped: int = 0  # updates left out: their gradient was not finite, or they had no rows
    skipped_in_a_row: int = 0
    skipped_late: int = 0  # of them, among the last ones of the run
    without_rows: int = 0  # of them, because no worker had a row that could be used
    first_loss: float | None = None  # of the first update that was made
    late_loss: float = 0.0  # sum over the last updates of the run, those that were made
    late_made: int = 0  # so many of them
    plateau: Plateau = field(default_factory=Plateau)
    scales: Scales | None = None  # of gradients in float16
    compression: PowerSGD | None = None  # of gradients between copies of the weights

    @classmethod
    def fresh(cls, model: nn.Module, fit: FitSettings) -> "State":
        """Return the state before the first update."""
        average = Average(model, schedules.averaging_decay(fit))
        return cls(model, optimizer.make(model, fit), average)

    @property
    def tensors(self) -> dict[str, Any]:
        """Return all tensors that updates change: the same on all workers, or a part on each."""
        weights, moments = self.model.named_parameters(), self.optimizer.state
        changed = {
            "model": self.model.state_dict(),
            "average": self.average.values,
            "optimizer": {name: moments[w] for name, w in weights if w in moments},
        }
        if self.scales is not None:
            changed["scales"] = self.scales.tensors
        if self.compression is not None:
            changed["errors"] = self.compression.errors
        return changed

    @property
    def numbers(self) -> dict[str, Any]:
        """Return all else that updates change."""
        return {name: getattr(self, name) for name in NUMBERS} | {"plateau": vars(self.plateau)}

    @numbers.setter
    def numbers(self, saved: Mapping[str, Any]) -> None:
        for name in NUMBERS:
            setattr(self, name, saved[name])
        self.plateau = Plateau(**saved["plateau"])


@contextmanager
def averaged(
    build: Callable[[], nn.Module], state: State, place: Place
) -> Iterator[nn.Module | None]:
    """Lend a model with the averaged weights: the one that learns, or a copy if that is sharded.

    Every worker of a sharded run takes part; only rank 0 gets the copy, the others None. Weights
    come together one at a time.
    """
    if not isinstance(state.model, FSDPModule):
        with state.average.in_place():
            yield state.model
        return
    copy = build().to(place.device) if place.rank == 0 else None
    weights = dict(copy.named_parameters()) if copy is not None else {}
    with torch.no_grad():
        for name, value in state.average.values.items():
            whole = value.full_tensor() if isinstance(value, DTensor) else value
            if copy is not None:
                weights[name].copy_(whole.reshape(weights[name].shape))
    yield copy
