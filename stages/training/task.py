"""What a model says about itself to be trained, and what a worker is told about where it runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from schemas.folder import Folder
from schemas.settings import Config
from stages.training.record import Scalars

Batch = dict[str, Tensor]  # rows first in every tensor


@dataclass(frozen=True)
class Place:
    """Which worker this is, and what it computes on."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def total(self, numbers: Mapping[str, float]) -> Scalars:
        """Add up over all workers, name by name."""
        if self.world == 1:
            return dict(numbers)
        packed = torch.tensor(list(numbers.values()), dtype=torch.float64, device=self.device)
        dist.all_reduce(packed)
        return dict(zip(numbers, packed.tolist(), strict=True))

    def largest(self, number: float) -> float:
        """Return the largest that any worker has."""
        if self.world == 1:
            return number
        packed = torch.tensor(number, dtype=torch.float64, device=self.device)
        dist.all_reduce(packed, dist.ReduceOp.MAX)
        return packed.item()


class Work(NamedTuple):
    """What an update does to one row, for those who ask how fast a run is."""

    unit: str = "rows"
    units: int = 1  # in a row
    flops: float | None = None  # that a model like this cannot do without; None: not counted
    settings: Config | None = None  # by which to find out how the loss of such runs fell


class Validation(NamedTuple):
    """What is seen of the averaged weights on rows that are not learned from."""

    scalars: Scalars
    pictures: Mapping[str, bytes] = {}  # PNG files by name
    alarm: str | None = None  # what goes wrong, in a sentence for people


class Task(Protocol):
    """What a model must say about itself to be trained."""

    @property
    def name(self) -> str:
        """Say which stage this is, for the log."""

    def build(self) -> nn.Module:
        """Return the model with fresh weights."""

    def blocks(self, model: nn.Module) -> list[nn.Module]:
        """Return the repeated parts of the model, which `spread` treats one by one."""

    def work(self) -> Work:
        """Say what a row comes to."""

    def batches(self, step: int, place: Place) -> Iterator[Batch]:
        """Yield this worker's rows of the global batch of `step`, then of all that follow."""

    def counts(self, batch: Batch) -> dict[str, int]:
        """Count what each term of the loss is a mean over."""

    def weights(self, step: int) -> dict[str, float]:
        """Return the weight of each term."""

    def sums(self, model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return each term summed over the rows, with its gradient."""

    def schedule(self, step: int) -> Scalars:
        """Return what else changes along the run, for the log."""

    def bound(self, model: nn.Module) -> None:
        """Bring weights back to where they may be, after each update."""

    def validate(self, model: nn.Module, step: int) -> Validation:
        """Measure the averaged weights."""

    def export(self, model: nn.Module, out: Folder) -> None:
        """Write the finished model."""
