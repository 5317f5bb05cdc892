"""The one training loop, in plain torch: it knows neither Ray nor what is being learned.

The gradient of an update is that of: the sum over named terms of weight x (sum over all rows of
all workers) / (count over all rows of all workers). So it does not depend on how rows are spread
over workers or forward passes.

Randomness inside an update is seeded from (seed, step, rank), so nothing of it needs saving.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from schemas.folder import Folder
from schemas.settings import FitSettings, TrainingSettings
from stages.training import checkpoints, schedules, verdict
from stages.training.meter import Meter, Window
from stages.training.order import generator
from stages.training.powersgd import compression
from stages.training.precision import product_type, without_subnormals
from stages.training.record import Record, Scalars
from stages.training.scaling import SKIPS_WHILE_SCALING, scaling
from stages.training.spread import add_up, spread
from stages.training.state import State, averaged
from stages.training.task import Batch, Place, Task
from stages.training.together import together
from stages.training.watch import Say, to_log


@without_subnormals()
def fit(
    task: Task,
    cfg: TrainingSettings,
    out: Folder,
    place: Place,
    say: Say = to_log,
) -> Scalars:
    """Train to `fit.steps`, from the newest checkpoint in `out` if there is one, and export.

    Returns the last validation's numbers. `say` is given the step and a line for people. Raises
    Diverged, and then exports nothing.
    """
    torch.manual_seed(cfg.fit.seed)
    model = task.build().to(place.device)
    blocks = task.blocks(model)
    engine = spread(model, blocks, cfg, place)
    state = State.fresh(model, cfg.fit)
    state.scales = scaling(blocks, cfg.fit, place)
    state.compression = compression(model, blocks, cfg.fit, place)
    checkpoints.load(out, state, place, say)
    record = Record(out, state.step) if place.rank == 0 else None
    if record is not None and state.step:
        say(state.step, f"{task.name}  goes on from step {state.step}/{cfg.fit.steps}")
    train(task, engine, state, cfg, out, place, record, say)
    with averaged(task.build, state, place) as average:
        if record is None or average is None:
            return {}
        scalars = measure(task, average, state, record, cfg.fit.steps, say)
        measured = scalars | {"skipped_updates": state.skipped}
        record.commit()
        record.close()
        verdict.require_numbers(task, measured, cfg.fit)
        task.export(average, out)
    return measured


def train(
    task: Task,
    model: nn.Module,
    state: State,
    cfg: TrainingSettings,
    out: Folder,
    place: Place,
    record: Record | None,
    say: Say,
) -> None:
    """Make the updates that are still to be made; `model` computes `state.model`."""
    batches, meter = task.batches(state.step, place), Meter(task, cfg.fit, place)
    window = Window()
    while state.step < cfg.fit.steps:
        # 1. learn from one batch
        asked = time.perf_counter()
        batch = {k: v.to(place.device, non_blocking=True) for k, v in next(batches).items()}
        window.waited += time.perf_counter() - asked
        window.rows += rows_of(batch)
        window.updates += 1
        torch.manual_seed(int(generator(cfg.fit.seed, state.step, place.rank).integers(2**63)))
        norm = learn(task, model, batch, state, cfg, place, window)
        window.spent += time.perf_counter() - asked

        # 2. say how it went
        last = state.step == cfg.fit.steps
        to_save = last or state.step % cfg.run.save_every == 0
        if to_save or state.step % cfg.run.log_every == 0:
            line = meter.metrics(state, window, norm)
            window = Window()
            if record is not None:
                record.add(line)
                say(state.step, meter.words(line))
                for alarm in meter.alarms():
                    sound(task, alarm, state, record, cfg.fit.steps, say)
        if not last and state.step % cfg.run.validate_every == 0:
            with averaged(task.build, state, place) as average:
                if record is not None and average is not None:
                    measure(task, average, state, record, cfg.fit.steps, say)
        if to_save:
            with together(place, f"to save what was seen up to step {state.step} in {out.url}"):
                if record is not None:
                    record.commit()
            if state.compression is not None:
                state.compression.settle()
            verdict.require_finite(task, state, cfg.fit, place)
            if last:
                verdict.require_progress(task, state, cfg.fit)
            checkpoints.save(out, state, place)


def learn(
    task: Task,
    model: nn.Module,
    batch: Batch,
    state: State,
    cfg: TrainingSettings,
    place: Place,
    window: Window,
) -> float:
    """Make one update; return the gradient's norm.

    The update is skipped if that is not finite, and also if no worker has a row to learn from.
    """
    weights, counts = task.weights(state.step), place.total(task.counts(batch))
    if not any(counts.values()):
        window.without_rows += 1
        state.without_rows += 1
        skip(task, state, cfg.fit, place)
        return 0.0
    parts = split(batch, cfg, place)
    kind = product_type(cfg.fit.precision, place.device)
    own = torch.zeros((), device=place.device)  # this worker's part of the loss
    seen = []
    for number, part in enumerate(parts, start=1):
        add_up(model, now=number == len(parts))
        with torch.autocast(place.device.type, kind, enabled=kind != torch.float32):
            sums = task.sums(model, part, state.step)
            # A term may have nothing to be a mean over in a batch that is as good as empty.
            terms = [weights[name] / max(counts[name], 1) * sums[name] for name in sums]
            loss = torch.stack(terms).sum()
        (loss * place.world).backward()  # what adds up over workers divides by their number
        seen.append((sums, task.counts(part)))
        own += loss.detach()

    height = gradient_norm(state, cfg.fit)
    if not math.isfinite(height):
        skip(task, state, cfg.fit, place)
        return height
    whole = place.total({"loss": own.item()})["loss"]
    state.plateau.see(whole, state.step, cfg.fit)
    verdict.remember(state, whole, cfg.fit)
    apply(task, state, cfg.fit)
    for each in seen:
        window.add(*each)
    return height


def gradient_norm(state: State, fit: FitSettings) -> float:
    """Let workers agree on the gradient, clip it, and return its norm before that."""
    if state.scales is not None:
        state.scales.undo(state.step)
    if state.compression is not None:
        state.compression.exchange()
    weighted = [w for w in state.model.parameters() if w.grad is not None]
    norm = nn.utils.get_total_norm([w.grad for w in weighted if w.grad is not None])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    height = norm.item()
    if fit.clip_norm is not None and height > fit.clip_norm:
        nn.utils.clip_grads_with_norm_(weighted, fit.clip_norm, norm)
    return height


def apply(task: Task, state: State, fit: FitSettings) -> None:
    """Update the weights."""
    for group in state.optimizer.param_groups:
        group["lr"] = schedules.step_size(state.step, fit, state.plateau.halvings)
    state.optimizer.step()
    task.bound(state.model)
    state.skipped_in_a_row = 0
    advance(state, fit)


def skip(task: Task, state: State, fit: FitSettings, place: Place) -> None:
    """Leave the weights as they are; raise Diverged where going on is no use."""
    verdict.require_finite(task, state, fit, place)
    state.plateau.see(math.nan, state.step, fit)
    state.skipped += 1
    state.skipped_in_a_row += 1
    state.skipped_late += state.step >= fit.steps - verdict.last_updates(fit)
    advance(state, fit)
    limit = verdict.SKIPS_IN_A_ROW if state.scales is None else SKIPS_WHILE_SCALING
    if state.skipped_in_a_row == limit:
        raise verdict.given_up(task, state, fit)


def advance(state: State, fit: FitSettings) -> None:
    """Come to the next step, whether the update was made or not."""
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    if state.step % fit.ema_every == 0:
        state.average.refresh()


def split(batch: Batch, cfg: TrainingSettings, place: Place) -> list[Batch]:
    """Cut a batch into parts that fit into memory one at a time.

    They are as many on every worker, some of them empty where rows are missing: workers meet in
    each forward pass of a sharded model.
    """
    if cfg.run.micro_batch_size is None:
        return [batch]
    rows = rows_of(batch) if place.world == 1 else math.ceil(cfg.fit.batch_size / place.world)
    number = max(1, math.ceil(rows / cfg.run.micro_batch_size))
    pieces = {name: values.tensor_split(number) for name, values in batch.items()}
    return [{name: parts[i] for name, parts in pieces.items()} for i in range(number)]


def rows_of(batch: Mapping[str, Any]) -> int:
    """Count a batch's rows."""
    return len(next(iter(batch.values())))


def measure(
    task: Task, model: nn.Module, state: State, record: Record, steps: int, say: Say
) -> Scalars:
    """Validate a model with averaged weights; keep what was seen, and say what goes wrong."""
    model.eval()
    with torch.no_grad():
        found = task.validate(model, state.step)
    model.train()
    record.add({"step": state.step, **found.scalars})
    record.pictures(state.step, found.pictures)
    alarm = found.alarm
    if names := verdict.not_numbers(found.scalars):  # of which a task's own rules say nothing true
        alarm = f"the averaged weights have no finite {', '.join(names)} on what is held out"
    if alarm is not None:
        sound(task, alarm, state, record, steps, say)
    return found.scalars


def sound(task: Task, alarm: str, state: State, record: Record, steps: int, say: Say) -> None:
    """Say what goes wrong, and keep it."""
    record.alarm(state.step, alarm)
    say(state.step, f"{task.name}  step {state.step}/{steps}  {alarm}", alarm=True)
