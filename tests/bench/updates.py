"""Training steps to be timed: a bare one, and all that the training loop does in one."""

import tempfile
from collections.abc import Callable

import torch
from torch import Tensor, nn

from infra.store import open_folder
from schemas.settings import TrainingSettings
from stages.training.distributed import DistributedContext
from stages.training.task import Batch, Task
from stages.training.trainer import Trainer
from tests.bench.on_gpu import seconds_and_memory


def update(model: nn.Module, loss: Callable[[], Tensor], bfloat16: bool) -> Callable[[], None]:
    """Return a whole training step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def in_the_loop(
    task: Task, cfg: TrainingSettings, batch: Batch, updates: int, device: torch.device
) -> tuple[float, float, float]:
    """Make updates of one batch; return the seconds and GiB of one, and the first gradient's norm.

    All that the training loop does is in it, but to read the data.
    """
    out = open_folder(tempfile.mkdtemp())
    trainer = Trainer(task, cfg, out, DistributedContext(device=device))
    norm = trainer.train_step(batch)  # compiles
    return *seconds_and_memory(lambda: trainer.train_step(batch), updates, device), norm
