"""What a model must say about itself to be trained; `trainer` does the rest."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from schemas.folder import Folder
from schemas.settings import TrainingSettings
from stages.data.loader import prepared_batches
from stages.data.table import Columns, Table
from stages.training.distributed import DistributedContext
from stages.training.loss_band import LossBand

Scalars = dict[str, float]
Batch = dict[str, Tensor]  # rows first in every tensor


VALIDATION_LOSS = "validation_loss"  # the number of a validation that best_of compares


class Validation(NamedTuple):
    """What is seen of the EMA weights on held-out rows."""

    scalars: Scalars
    pictures: Mapping[str, bytes] = {}  # PNG files by name
    alarm: str | None = None  # what goes wrong, in a sentence for people


class Task(ABC):
    """A model, its data and its loss.

    The loss is a sum of named terms. The gradient of an update is that of the sum over terms of
    loss_weight x (loss_sum over all rows of all workers) / (loss_count over them), so it does not
    depend on how rows are divided between workers and micro-batches.
    """

    name: str  # of the stage, for the log
    cfg: TrainingSettings
    train: Table
    columns: ClassVar[tuple[str, ...]]  # of the table, as `prepare` wants them
    prefetched: ClassVar[int] = 4  # batches prepared before they are needed

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the model with fresh weights."""

    def layers(self, model: nn.Module) -> list[nn.Module]:
        """Return the repeated parts: checkpointed, compiled, sharded and compressed one by one."""
        return []

    def tokens_per_row(self) -> int | None:
        """Return the tokens of a row, if speed is to be logged in tokens."""
        return None

    def flops_per_row(self) -> float | None:
        """Return the FLOP of an update for one row (three forward passes), to log utilisation."""
        return None

    def loss_band(self) -> LossBand | None:
        """Return where the loss of runs with these settings usually is."""
        return None

    def batches(self, step: int, context: DistributedContext) -> Iterator[Batch]:
        """Yield this worker's rows of the global batch of `step`, then of all that follow."""
        return prepared_batches(
            self.train,
            self.columns,
            self.prepare,
            seed=self.cfg.fit.seed,
            batch_size=self.cfg.fit.batch_size,
            step=step,
            rank=context.rank,
            world_size=context.world_size,
            threads=self.data_threads(),
            depth=self.prefetched,
        )

    def data_threads(self) -> int:
        """Return the threads that prepare batches."""
        return max(1, self.cfg.run.threads // 2)

    @abstractmethod
    def prepare(self, columns: Columns) -> Batch:
        """Turn rows of the table, and the `epoch` that each is seen in, into a batch."""

    @abstractmethod
    def loss_sums(self, model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return each term of the loss summed over the rows, with its gradient."""

    @abstractmethod
    def loss_counts(self, batch: Batch) -> dict[str, int]:
        """Count what each term is a mean over."""

    @abstractmethod
    def loss_weights(self, step: int) -> dict[str, float]:
        """Return the weight of each term."""

    def schedule(self, step: int) -> Scalars:
        """Return what changes along the run besides the learning rate, for the log."""
        return {}

    def clamp_parameters(self, model: nn.Module) -> None:  # noqa: B027
        """Bring parameters back into their range, after each update."""

    def settle(self, model: nn.Module) -> None:  # noqa: B027
        """Choose, at the end, what of EMA weights is kept; then they are measured and exported."""

    @abstractmethod
    def validate(self, model: nn.Module, step: int) -> Validation:
        """Measure a model with EMA weights."""

    @abstractmethod
    def export(self, model: nn.Module, out: Folder) -> None:
        """Write the finished model."""
