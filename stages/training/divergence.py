"""When a run is no use: weights that are not finite are never saved, a run without progress fails.

Checked when an update is skipped, before a checkpoint is written, and at the end. All workers come
to the same verdict, because they check together and look at the same numbers.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from schemas.errors import UserError
from schemas.settings import FitSettings
from stages.training.distributed import DistributedContext, local
from stages.training.gradient_scaling import SKIPS_WHILE_SCALING
from stages.training.state import State
from stages.training.task import Task

SKIPS_IN_A_ROW = 50  # the paper skips one update in twenty; so many together are no accident
MOST_SKIPPED = 1 / 2  # of the updates, of all and of the last ones
LAST_SHARE, LAST_UPDATES = 1 / 10, 10  # of a run: the larger of both are the last ones
# No training is meant to end so much above the loss that it began with, in nats: the loss of a
# fresh model is a guess's, and the dVAE's KL may come to weigh some nats that it did not at first.
WORSE_TIMES, WORSE_BY = 2.0, 10.0


class Diverged(UserError):
    """A run that it is no use to go on with, or to keep."""


def advice(task: Task, fit: FitSettings) -> str:
    """Say what to change where gradients or weights grow without bounds."""
    settings = f"{task.name.removeprefix('train_')}.fit"
    ways = [f"lower {settings}.learning_rate, now {fit.learning_rate:g}"]
    if fit.clip_norm is None:
        ways.append(f"bound the gradient ({settings}.clip_norm=1)")
    if fit.warmup_share == 0:
        ways.append(f"warm the learning rate up ({settings}.warmup_share=0.05)")
    if fit.precision != "float32":
        ways.append(f"compute in {settings}.precision=float32")
    return " or ".join([", ".join(ways[:-1]), ways[-1]]) if len(ways) > 1 else ways[0]


def require_finite(task: Task, state: State, fit: FitSettings, context: DistributedContext) -> None:
    """Raise Diverged if a weight or its EMA is not a finite number."""
    weights = not_finite(state.model.parameters())
    average = not_finite(state.ema.values.values())
    found = context.all_reduce({"weights": weights, "average": average})
    if any(found.values()):
        kind = "weights" if found["weights"] else "averaged weights"
        raise Diverged(
            f"wanted finite weights, found {kind} that are not after update {state.step} of "
            f"{fit.steps} of {task.name}; {advice(task, fit)}"
        )


def not_finite(tensors: Iterable[Tensor]) -> int:
    """Count the tensors with a number that is not finite in the part held here."""
    with torch.no_grad():
        finite = [local(tensor).isfinite().all() for tensor in tensors]
        return int((~torch.stack(finite)).sum()) if finite else 0


def require_updates(task: Task, state: State, fit: FitSettings) -> None:
    """Raise Diverged after too many skipped updates in a row."""
    limit = SKIPS_IN_A_ROW if state.scales is None else SKIPS_WHILE_SCALING
    if state.skipped_in_a_row == limit:
        raise Diverged(
            f"wanted updates to learn from, found that {limit} in a row up to update "
            f"{state.step} of {fit.steps} of {task.name} were skipped; {remedy(task, state, fit)}"
        )


def require_progress(task: Task, state: State, fit: FitSettings) -> None:
    """Raise Diverged if a run that is at its end made few updates, or made its model worse."""
    last = last_updates(fit)
    for skipped, of, which in (
        (state.skipped, state.step, ""),
        (state.skipped_late, last, "last "),
    ):
        if skipped > MOST_SKIPPED * of:
            raise Diverged(
                f"wanted updates to learn from, found that {skipped} of the {which}{of} updates of "
                f"{task.name} were skipped; {remedy(task, state, fit)}"
            )
    if state.step < fit.steps:  # stopped early: the validation loss says what was learned
        return
    first, now = state.first_loss, state.late_loss / state.late_made
    if not math.isfinite(now) or now > WORSE_TIMES * abs(first or 0) + WORSE_BY:
        found = f"{now:.4g}" if math.isfinite(now) else "no finite one"
        began = "" if first is None else f" ({first:.4g} at first)"
        raise Diverged(
            f"wanted a loss that falls, found {found} at the end of the {fit.steps} updates of "
            f"{task.name}{began}; {advice(task, fit)}"
        )


def remember_loss(state: State, loss: float, fit: FitSettings) -> None:
    """Note the loss, over all workers, of an update that is made."""
    if state.first_loss is None and math.isfinite(loss):
        state.first_loss = loss
    if state.step >= fit.steps - last_updates(fit):
        state.late_loss += loss
        state.late_made += 1


def last_updates(fit: FitSettings) -> int:
    """Return how many of a run's updates count as its last ones."""
    return min(fit.steps, max(LAST_UPDATES, math.ceil(LAST_SHARE * fit.steps)))


def remedy(task: Task, state: State, fit: FitSettings) -> str:
    """Say what to do about skipped updates, by why most of them were skipped."""
    if 2 * state.without_rows > state.skipped:
        return "no row of their batches could be read: run filter again"
    return f"their gradients were not finite: {advice(task, fit)}"


def not_finite_names(scalars: Mapping[str, float]) -> list[str]:
    return [name for name, value in scalars.items() if not math.isfinite(value)]


def require_numbers(task: Task, scalars: Mapping[str, float], fit: FitSettings) -> None:
    """Raise Diverged if a number measured at the end is not finite."""
    if names := not_finite_names(scalars):
        raise Diverged(
            f"wanted a model that can be measured, found no finite {', '.join(names)} after the "
            f"{fit.steps} updates of {task.name}; {advice(task, fit)}"
        )
