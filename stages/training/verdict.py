"""When a run is no use: what is not finite is never saved, and what learned nothing is not done.

Asked when an update is skipped, before a checkpoint is written, and at the end. All workers come
to the same verdict, for they ask together and of the same numbers.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from schemas.errors import UserError
from schemas.settings import FitSettings
from stages.training.spread import local
from stages.training.state import State
from stages.training.task import Place, Task

SKIPS_IN_A_ROW = 50  # the paper skips one update in twenty; so many together are no accident
MOST_SKIPPED = 1 / 2  # of the updates, of all and of the last ones
LAST_SHARE, LAST_UPDATES = 1 / 10, 10  # of a run: the larger of both are the last ones
# No training is meant to end so much above the loss that it began with, in nats: the loss of a
# fresh model is a guess's, and the dVAE's KL may come to weigh some nats that it did not at first.
WORSE_TIMES, WORSE_BY = 2.0, 10.0


class Diverged(UserError):
    """A run that it is no use to go on with, or to keep."""


def advice(task: Task, cfg: FitSettings) -> str:
    """Say what to change, where gradients or weights grow out of all bounds."""
    settings = f"{task.name.removeprefix('train_')}.fit"
    ways = [f"lower {settings}.learning_rate, now {cfg.learning_rate:g}"]
    if cfg.clip_norm is None:
        ways.append(f"bound the gradient ({settings}.clip_norm=1)")
    if cfg.warmup_share == 0:
        ways.append(f"let the step size rise first ({settings}.warmup_share=0.05)")
    if cfg.precision != "float32":
        ways.append(f"compute in {settings}.precision=float32")
    return " or ".join([", ".join(ways[:-1]), ways[-1]]) if len(ways) > 1 else ways[0]


def require_finite(task: Task, state: State, cfg: FitSettings, place: Place) -> None:
    """Raise Diverged if a weight, or the average of them, is not a finite number."""
    weights = not_finite(state.model.parameters())
    average = not_finite(state.average.values.values())
    found = place.total({"weights": weights, "average": average})
    if any(found.values()):
        kind = "weights" if found["weights"] else "averaged weights"
        raise Diverged(
            f"wanted finite weights, found {kind} that are not after update {state.step} of "
            f"{cfg.steps} of {task.name}; {advice(task, cfg)}"
        )


def not_finite(tensors: Iterable[Tensor]) -> int:
    """Count the tensors that hold a number that is not finite, of the parts that are here."""
    with torch.no_grad():
        good = [local(tensor).isfinite().all() for tensor in tensors]
        return int((~torch.stack(good)).sum()) if good else 0


def require_progress(task: Task, state: State, cfg: FitSettings) -> None:
    """Raise Diverged if a run that is at its end has made few updates, or a bad model worse."""
    last = last_updates(cfg)
    for skipped, of, which in ((state.skipped, cfg.steps, ""), (state.skipped_late, last, "last ")):
        if skipped > MOST_SKIPPED * of:
            raise Diverged(
                f"wanted updates to learn from, found that {skipped} of the {which}{of} updates of "
                f"{task.name} were skipped; {remedy(task, state, cfg)}"
            )
    first, now = state.first_loss, state.late_loss / state.late_made
    if not math.isfinite(now) or now > WORSE_TIMES * abs(first or 0) + WORSE_BY:
        found = f"{now:.4g}" if math.isfinite(now) else "no finite one"
        began = "" if first is None else f" ({first:.4g} at first)"
        raise Diverged(
            f"wanted a loss that falls, found {found} at the end of the {cfg.steps} updates of "
            f"{task.name}{began}; {advice(task, cfg)}"
        )


def remember(state: State, loss: float, cfg: FitSettings) -> None:
    """Take in the loss, over all workers, of an update that is made."""
    if state.first_loss is None and math.isfinite(loss):
        state.first_loss = loss
    if state.step >= cfg.steps - last_updates(cfg):
        state.late_loss += loss
        state.late_made += 1


def last_updates(cfg: FitSettings) -> int:
    """Return how many of a run's updates are its last ones."""
    return min(cfg.steps, max(LAST_UPDATES, math.ceil(LAST_SHARE * cfg.steps)))


def remedy(task: Task, state: State, cfg: FitSettings) -> str:
    """Say what to do about updates that are skipped, by why the most of them were."""
    if 2 * state.without_rows > state.skipped:
        return "for no row of their batches could be read: run filter again"
    return f"for their gradients were not finite: {advice(task, cfg)}"


def given_up(task: Task, state: State, cfg: FitSettings) -> Diverged:
    """Return what to say after too many skipped updates in a row."""
    return Diverged(
        f"wanted updates to learn from, found that {state.skipped_in_a_row} in a row up to update "
        f"{state.step} of {cfg.steps} of {task.name} were skipped; {remedy(task, state, cfg)}"
    )


def not_numbers(scalars: Mapping[str, float]) -> list[str]:
    """Return the names of the figures that are not finite."""
    return [name for name, value in scalars.items() if not math.isfinite(value)]


def require_numbers(task: Task, scalars: Mapping[str, float], cfg: FitSettings) -> None:
    """Raise Diverged if what was measured at the end is not finite."""
    if names := not_numbers(scalars):
        raise Diverged(
            f"wanted a model that can be measured, found no finite {', '.join(names)} after the "
            f"{cfg.steps} updates of {task.name}; {advice(task, cfg)}"
        )
