"""What any training takes, before it begins: memory of its states, operations, time."""

from collections.abc import Iterable

import torch
from torch import nn

from schemas.forecast import PlanLine
from schemas.settings import FitSettings, TrainingRun
from stages.numbers import byte_size, compact
from stages.training.hardware import DATA_SHEETS, data_sheet_of

GIB = 2**30
FLOAT32 = 4  # bytes
ASSUMED_UTILISATION = 0.4  # of a GPU's peak, recomputed layers included


def parameter_count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def cost(parameters: int, flops: float) -> str:
    """Return the phrase for the table of stages."""
    return f"{compact(parameters)} weights, {flops:.1e} FLOP"


def checkpointed(parameters: int, fit: FitSettings, matrices: int = 0) -> int:
    """Count the numbers of a checkpoint; `matrices` of the parameters are Muon's, if it is used."""
    moments = 2 * parameters - (matrices if fit.optimizer == "muon" else 0)
    averages = parameters * (2 if fit.best_of > 1 else 1)
    return parameters + averages + moments


def in_memory(parameters: int, fit: FitSettings, matrices: int = 0) -> int:
    """Count the numbers of a checkpoint and of the gradients."""
    return checkpointed(parameters, fit, matrices) + parameters


def checkpoint_line(parameters: int, fit: FitSettings, matrices: int = 0) -> PlanLine:
    averages = "EMA, the best one" if fit.best_of > 1 else "EMA"
    moments = "moments" if fit.optimizer == "muon" else "two moments"
    size = byte_size(FLOAT32 * checkpointed(parameters, fit, matrices))
    return PlanLine("a checkpoint", size, f"weights, {averages}, {moments}")


def time_lines(flops: float, run: TrainingRun) -> Iterable[PlanLine]:
    """Yield how long a run's operations take on its GPUs; nothing where it has none."""
    if not run.gpu:
        return
    name, peak = gpu_peak()
    again = 4 / 3 if run.activation_checkpointing else 1  # the forward pass is one of three parts
    days = flops * again / (ASSUMED_UTILISATION * peak * run.workers) / 86_400
    how = f"at {ASSUMED_UTILISATION:.0%} of {peak / 1e12:,.0f} TFLOP/s ({name})"
    yield PlanLine("time", f"{days:,.1f} days", how)
    if run.activation_checkpointing:
        yield PlanLine("", "", "and a third more for recomputing")


def gpu_peak() -> tuple[str, float]:
    """Return the name and the peak FLOP/s of this machine's GPU, else of the H200."""
    here = data_sheet_of(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
    name = here or "H200"
    return name, DATA_SHEETS[name]


def gpu_memory(run: TrainingRun) -> float:
    """Return the bytes of this machine's GPU, else as the setting says."""
    if torch.cuda.is_available():
        return float(torch.cuda.get_device_properties(0).total_memory)
    return run.gpu_memory_gib * GIB


def mesh(run: TrainingRun) -> str:
    kind = "GPU" if run.gpu else "worker"
    words = [f"{run.workers:,} {kind}{'s' if run.workers > 1 else ''}"]
    if run.shard_group_size > 1:
        every = run.shard_group_size == run.workers
        words.append("sharded" if every else f"sharded by {run.shard_size}")
    words += ["recomputed"] if run.activation_checkpointing else []
    return ", ".join(words)
