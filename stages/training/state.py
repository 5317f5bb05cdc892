"""All that a resumed run needs: weights, their average, the optimizer's moments, the step.

Nothing else has to be stored: the rows of a batch and the noise of an update are functions of the
seed and the step.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from schemas.configs import FitSettings
from stages.training import optimizer, schedules


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

    @torch.no_grad()
    def restore(self, saved: dict[str, Tensor]) -> None:
        """Take the values of an earlier run."""
        for name, value in self.values.items():
            value.copy_(saved[name])

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

    @classmethod
    def fresh(cls, model: nn.Module, fit: FitSettings) -> "State":
        """Return the state before the first update."""
        average = Average(model, schedules.averaging_decay(fit))
        return cls(model, optimizer.make(model, fit), average)

    def to_bytes(self) -> bytes:
        """Return a file from which the run goes on as if it had never stopped."""
        file = io.BytesIO()
        parts = {
            "model": self.model.state_dict(),
            "average": self.average.values,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "skipped": self.skipped,
        }
        torch.save(parts, file)
        return file.getvalue()

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to the time when `saved` was written."""
        self.model.load_state_dict(saved["model"])
        self.average.restore(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.skipped = saved["step"], saved["skipped"]
