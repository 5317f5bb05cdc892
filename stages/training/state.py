"""All that a resumed run needs: weights, their average, the optimizer's moments, the step.

Nothing else has to be stored: the rows of a batch and the noise of an update are functions of the
seed and the step.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from schemas.configs import FitSettings
from stages.training import optimizer, schedules
from stages.training.gathering import gathered, pour
from stages.training.plateau import Plateau
from stages.training.task import Place

COUNTS = ("step", "skipped", "skipped_in_a_row")


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
    skipped: int = 0  # updates left out because their gradient was not finite
    skipped_in_a_row: int = field(default=0)
    plateau: Plateau = field(default_factory=Plateau)

    @classmethod
    def fresh(cls, model: nn.Module, fit: FitSettings) -> "State":
        """Return the state before the first update."""
        average = Average(model, schedules.averaging_decay(fit))
        return cls(model, optimizer.make(model, fit), average)

    @property
    def tensors(self) -> dict[str, Any]:
        """Return all that updates change, by name."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.values,
            "optimizer": self.optimizer.state_dict(),
        }

    def to_bytes(self, place: Place) -> bytes:
        """Return a file from which the run goes on as if it had never stopped.

        Every worker of a sharded run takes part; only rank 0 gets what can be used.
        """
        file = io.BytesIO()
        parts = gathered(self.tensors, keep=place.rank == 0)
        if place.rank == 0:
            counts = {name: getattr(self, name) for name in COUNTS}
            torch.save(parts | counts | {"plateau": vars(self.plateau)}, file)
        return file.getvalue()

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to the time when `saved` was written, by whatever number of workers."""
        pour(saved, into=self.tensors)
        for name in COUNTS:
            setattr(self, name, saved[name])
        self.plateau = Plateau(**saved["plateau"])


@contextmanager
def averaged(
    build: Callable[[], nn.Module], state: State, place: Place
) -> Iterator[nn.Module | None]:
    """Lend a model with the averaged weights: the one that learns, or a copy if that is sharded.

    Every worker of a sharded run takes part; only rank 0 gets the copy, the others None.
    """
    if not isinstance(state.model, FSDPModule):
        with state.average.in_place():
            yield state.model
        return
    values = gathered(state.average.values, keep=place.rank == 0)
    if place.rank > 0:
        yield None
        return
    copy = build().to(place.device)
    pour(values, into=dict(copy.named_parameters()))
    yield copy
