"""The training loop of all three models, in plain torch: it knows neither Ray nor what is learned.

`Trainer.fit` repeats `train_step` on one global batch after another: forward and backward pass of
each micro-batch (gradient accumulation), gradient clipping, an optimizer step at the scheduled
learning rate, an EMA update. In between it logs, validates, and saves checkpoints.

Every worker runs this same code. Randomness inside an update is seeded from (seed, step, rank), so
nothing of it needs saving: a run that was killed goes on from its newest checkpoint (see
`checkpoints`) as if nothing had happened.
"""

import math
import time
from collections.abc import Iterator

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from schemas.folder import Folder
from schemas.settings import TrainingSettings
from stages.data.order import generator
from stages.training import checkpoints, divergence, schedules
from stages.training.distributed import DistributedContext, parallelize, set_gradient_sync
from stages.training.gradient_scaling import GradientScales
from stages.training.metrics_log import Meter, MetricsLog, Window
from stages.training.powersgd import PowerSGD
from stages.training.precision import product_type, without_subnormals
from stages.training.state import State
from stages.training.task import VALIDATION_LOSS, Batch, Scalars, Task, Validation
from stages.training.watch import Log, to_log


class Trainer:
    """One worker's part in the training of a task.

    `log` is given the step and a line for people. Only rank 0 keeps `metrics`, while it fits, and
    only rank 0 validates and exports.
    """

    def __init__(
        self,
        task: Task,
        cfg: TrainingSettings,
        out: Folder,
        context: DistributedContext,
        log: Log = to_log,
    ) -> None:
        self.task, self.cfg = task, cfg
        self.out, self.context, self.log = out, context, log
        torch.manual_seed(cfg.fit.seed)
        model = task.build().to(context.device)
        layers = task.layers(model)
        self.model = parallelize(model, layers, cfg, context)
        # Its model shares the weights of `self.model`.
        self.state = State.fresh(model, cfg.fit, layers)
        if cfg.fit.precision == "float16":
            self.state.scales = GradientScales(layers, context)
        if cfg.fit.powersgd_rank is not None:
            self.state.compression = PowerSGD(model, layers, cfg.fit, context)
        checkpoints.load(out, self.state, context, log)
        self.meter, self.window = Meter(task, cfg.fit, context), Window()
        self.metrics: MetricsLog | None = None

    @without_subnormals()
    def fit(self) -> Scalars:
        """Train to the run's end and export; return the last validation's numbers, on rank 0.

        Raises Diverged, and then exports nothing.
        """
        state, steps, run = self.state, self.cfg.fit.steps, self.cfg.run
        if self.context.rank == 0:
            self.metrics = MetricsLog(self.out, state.step)
            if state.step:
                self.log(state.step, f"{self.task.name}  resumes from step {state.step}/{steps}")
        batches = self.task.batches(state.step, self.context)
        while not state.ended(self.cfg.fit):
            norm = self.timed_step(batches)
            choose = schedules.chooses(state.step, self.cfg.fit)
            if choose or (state.step < steps and state.step % run.validate_every == 0):
                with state.ema_model(self.task.build, self.context) as model:
                    found = self.validate(model)
                if choose:
                    self.choose(found)
            save = state.ended(self.cfg.fit) or state.step % run.save_every == 0
            if save or state.step % run.log_every == 0:
                self.log_metrics(norm)
            if save:
                self.save()
        self.keep_the_best()
        with state.ema_model(self.task.build, self.context) as model:
            return self.finish(model)

    def timed_step(self, batches: Iterator[Batch]) -> float:
        """Make a train step from the next batch, and note how long it took."""
        started = time.perf_counter()
        on_cpu = next(batches)
        batch = {k: v.to(self.context.device, non_blocking=True) for k, v in on_cpu.items()}
        self.window.waited += time.perf_counter() - started
        self.window.rows += rows_of(batch)
        self.window.updates += 1
        seed = generator(self.cfg.fit.seed, self.state.step, self.context.rank).integers(2**63)
        torch.manual_seed(int(seed))
        norm = self.train_step(batch)
        self.window.spent += time.perf_counter() - started
        return norm

    def train_step(self, batch: Batch) -> float:
        """Update the weights by one global batch; return the gradient's norm before clipping.

        The update is skipped if the norm is not finite, and also if no worker has a row.
        """
        task, state, context = self.task, self.state, self.context
        weights, counts = task.loss_weights(state.step), context.all_reduce(task.loss_counts(batch))
        if not any(counts.values()):
            self.window.without_rows += 1
            state.without_rows += 1
            self.skip_update()
            return 0.0
        dtype = product_type(self.cfg.fit.precision, context.device)
        own = torch.zeros((), device=context.device)  # this worker's part of the loss
        seen = []
        micro_batches = self.micro_batches(batch)
        for number, micro_batch in enumerate(micro_batches, start=1):
            set_gradient_sync(self.model, number == len(micro_batches))
            with torch.autocast(context.device.type, dtype, enabled=dtype != torch.float32):
                sums = task.loss_sums(self.model, micro_batch, state.step)
                # A term may have nothing to be a mean over in a batch that is nearly empty.
                terms = [weights[name] / max(counts[name], 1) * sums[name] for name in sums]
                loss = torch.stack(terms).sum()
            (loss * context.world_size).backward()  # the reduction divides by the world size
            seen.append((sums, task.loss_counts(micro_batch)))
            own += loss.detach()

        norm = self.reduce_and_clip_gradients()
        if not math.isfinite(norm):
            self.skip_update()
            return norm
        whole = context.all_reduce({"loss": own.item()})["loss"]
        state.plateau.update(whole, state.step, self.cfg.fit)
        divergence.remember_loss(state, whole, self.cfg.fit)
        self.optimizer_step()
        for each in seen:
            self.window.add(*each)
        return norm

    def micro_batches(self, batch: Batch) -> list[Batch]:
        """Cut a batch into parts of at most `micro_batch_size` rows.

        Every worker gets the same number of them, some empty where rows are missing: workers of a
        sharded model meet in each forward pass.
        """
        if self.cfg.run.micro_batch_size is None:
            return [batch]
        world_size = self.context.world_size
        rows = (
            rows_of(batch) if world_size == 1 else math.ceil(self.cfg.fit.batch_size / world_size)
        )
        number = max(1, math.ceil(rows / self.cfg.run.micro_batch_size))
        cut = {name: values.tensor_split(number) for name, values in batch.items()}
        return [{name: parts[i] for name, parts in cut.items()} for i in range(number)]

    def reduce_and_clip_gradients(self) -> float:
        """Unscale and clip the gradient, which PowerSGD first reduces; return its norm before."""
        state, clip_norm = self.state, self.cfg.fit.clip_norm
        if state.scales is not None:
            state.scales.unscale(state.step)
        if state.compression is not None:
            state.compression.exchange()
        weights = [w for w in state.model.parameters() if w.grad is not None]
        total = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
        if isinstance(total, DTensor):
            total = total.full_tensor()
        norm = total.item()
        if clip_norm is not None and norm > clip_norm:
            nn.utils.clip_grads_with_norm_(weights, clip_norm, total)
        return norm

    def optimizer_step(self) -> None:
        state = self.state
        for group in state.optimizer.param_groups:
            group["lr"] = schedules.learning_rate(state.step, self.cfg.fit, state.plateau.halvings)
        state.optimizer.step()
        self.task.clamp_parameters(state.model)
        state.skipped_in_a_row = 0
        self.advance()

    def skip_update(self) -> None:
        """Leave the weights as they are; raise Diverged where going on is pointless."""
        state, fit = self.state, self.cfg.fit
        divergence.require_finite(self.task, state, fit, self.context)
        state.plateau.update(math.nan, state.step, fit)
        state.skipped += 1
        state.skipped_in_a_row += 1
        state.skipped_late += state.step >= fit.steps - divergence.last_updates(fit)
        self.advance()
        divergence.require_updates(self.task, state, fit)

    def advance(self) -> None:
        self.state.optimizer.zero_grad(set_to_none=True)
        self.state.step += 1
        if self.state.step % self.cfg.fit.ema_every == 0:
            self.state.ema.update()

    def log_metrics(self, norm: float) -> None:
        """Log the window of updates that ends here, and begin another; all workers take part."""
        line = self.meter.metrics(self.state, self.window, norm)
        self.window = Window()
        if self.metrics is not None:
            self.metrics.add(line)
            self.log(self.state.step, self.meter.words(line))
            for alarm in self.meter.alarms():
                self.alarm(alarm)

    def alarm(self, sentence: str) -> None:
        assert self.metrics is not None, "only rank 0 warns"
        step = self.state.step
        self.metrics.alarm(step, sentence)
        self.log(
            step, f"{self.task.name}  step {step}/{self.cfg.fit.steps}  {sentence}", alarm=True
        )

    def validate(self, model: nn.Module | None) -> Scalars:
        """Measure a model with EMA weights, on rank 0; keep its metrics and pictures."""
        if self.metrics is None or model is None:
            return {}
        found = self.measured(model)
        self.metrics.add({"step": self.state.step, **found.scalars})
        self.metrics.pictures(self.state.step, found.pictures)
        alarm = found.alarm
        if names := divergence.not_finite_names(found.scalars):  # no rule of a task judges these
            alarm = f"the averaged weights have no finite {', '.join(names)} on what is held out"
        if alarm is not None:
            self.alarm(alarm)
        return found.scalars

    def measured(self, model: nn.Module) -> Validation:
        model.eval()
        with torch.no_grad():
            found = self.task.validate(model, self.state.step)
        model.train()
        return found

    def choose(self, found: Scalars) -> None:
        """Remember the averaged weights if none had a lower loss, as rank 0 found it."""
        assert self.state.best is not None
        loss = self.context.all_reduce({VALIDATION_LOSS: found.get(VALIDATION_LOSS, 0.0)})
        self.state.best.offer(self.state.ema.values, loss[VALIDATION_LOSS], self.state.step)

    def keep_the_best(self) -> None:
        """Replace the average by the best one, if there is a choice."""
        best = self.state.best
        if best is None or not best.step:
            return
        self.state.ema.values = best.values
        if self.context.rank == 0:
            step, fit = self.state.step, self.cfg.fit
            if step < fit.steps:
                line = f"stops at step {step}/{fit.steps}, as no validation of the last"
                self.log(step, f"{self.task.name}  {line} {fit.stop_after} was better")
            line = f"keeps the average of step {best.step}, whose validation loss is the lowest"
            self.log(self.state.step, f"{self.task.name}  {line}: {best.loss:.4f}")

    def save(self) -> None:
        """Commit metrics, then a checkpoint, unless the run has diverged; all workers take part."""
        state, fit = self.state, self.cfg.fit
        with self.context.all_or_none(
            f"to save what was seen up to step {state.step} in {self.out.url}"
        ):
            if self.metrics is not None:
                self.metrics.commit()
        if state.compression is not None:
            state.compression.average_errors()
        divergence.require_finite(self.task, state, fit, self.context)
        if state.ended(fit):
            divergence.require_progress(self.task, state, fit)
        checkpoints.save(self.out, state, self.context)

    def finish(self, model: nn.Module | None) -> Scalars:
        """Validate and export the EMA weights, on rank 0."""
        if self.metrics is None or model is None:
            return {}
        self.task.settle(model)
        best = self.state.best
        # What was chosen has its line in the metrics, at its own step.
        found = self.validate(model) if best is None else self.measured(model).scalars
        measured = found | {"skipped_updates": self.state.skipped}
        if best is not None:
            measured["kept_step"] = best.step
        self.metrics.commit()
        self.metrics.close()
        divergence.require_numbers(self.task, measured, self.cfg.fit)
        self.task.export(model, self.out)
        return measured


def rows_of(batch: Batch) -> int:
    return len(next(iter(batch.values())))
