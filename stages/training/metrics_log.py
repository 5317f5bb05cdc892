"""How a training run goes: metrics as JSON lines and TensorBoard events, and lines for people."""

import json
import math
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from schemas.artifacts import METRICS
from schemas.folder import Folder
from schemas.settings import FitSettings
from stages.numbers import compact, duration
from stages.pictures import decode
from stages.training import schedules
from stages.training.distributed import DistributedContext
from stages.training.hardware import CpuMeter, CpuShare, peak_of
from stages.training.precision import product_type
from stages.training.state import State
from stages.training.task import Scalars, Task

EVENTS, PICTURES = "events/", "pictures/"


class Window:
    """What happened since the last line of the log."""

    def __init__(self) -> None:
        self.loss_sums: dict[str, Tensor] = {}
        self.loss_counts: dict[str, int] = {}
        self.rows, self.updates = 0, 0
        self.without_rows = 0  # updates in which no worker had one
        self.waited, self.spent = 0.0, 0.0  # seconds; the second includes the first
        self.cpu = CpuMeter()

    def add(self, loss_sums: Mapping[str, Tensor], loss_counts: Mapping[str, int]) -> None:
        """Add the loss of one forward pass, without waiting for the device."""
        for name, value in loss_sums.items():
            self.loss_sums[name] = self.loss_sums.get(name, 0) + value.detach()
            self.loss_counts[name] = self.loss_counts.get(name, 0) + loss_counts[name]

    def means(self, context: DistributedContext) -> Scalars:
        """Return the mean of each term over all rows of all workers; empty without updates."""
        total = context.all_reduce({name: value.item() for name, value in self.loss_sums.items()})
        count = context.all_reduce(self.loss_counts)
        return {name: total[name] / max(count[name], 1) for name in total}


class Meter:
    """Turns a window of updates into metrics, and compares its speed and loss with the usual."""

    def __init__(self, task: Task, fit: FitSettings, context: DistributedContext) -> None:
        self.task, self.fit, self.context = task, fit, context
        self.tokens, self.flops = task.tokens_per_row(), task.flops_per_row()  # of a row
        dtype = product_type(fit.precision, context.device)
        self.peak = peak_of(context.device, dtype) if self.flops is not None else None
        self.band = task.loss_band()
        self.unusual, self.far = "", False  # as the last window was
        self.warned = False
        self.without_rows = 0, 0  # of so many updates
        self.cpu: CpuShare | None = None

    def metrics(self, state: State, window: Window, norm: float) -> Scalars:
        """Return one line of metrics for a window of updates; all workers take part."""
        step = state.step - 1  # the last update that was made
        context, task, fit = self.context, self.task, self.fit
        means, weights = window.means(context), task.loss_weights(step)
        waited, spent = window.waited, window.spent
        total = context.all_reduce({"rows": window.rows, "waited": waited, "spent": spent})
        rows_per_second = context.world_size * total["rows"] / total["spent"]
        self.without_rows = window.without_rows, window.updates
        self.cpu = window.cpu.share()
        if self.band is not None and means:
            middle = (state.step - window.updates / 2) / fit.steps
            self.unusual, self.far = self.band.outside(middle, means)
        return {
            "step": state.step,
            "loss": sum(weights[name] * means[name] for name in means) if means else math.nan,
            **means,
            **task.schedule(step),
            "learning_rate": schedules.learning_rate(step, fit, state.plateau.halvings),
            "gradient_norm": norm,
            "skipped_updates": state.skipped,
            "rows_left_out": window.updates * fit.batch_size - total["rows"],
            "rows_per_second": rows_per_second,
            "waiting_share": total["waited"] / total["spent"],
            **({"cores": self.cpu.used, "cores_wanted": self.cpu.wanted} if self.cpu else {}),
            "peak_memory_gib": context.all_reduce_max(used_memory(context.device)) / 2**30,
            **self._speed(rows_per_second),
        }

    def _speed(self, rows_per_second: float) -> Scalars:
        """Return tokens per second and FLOP utilisation, where known; all workers take part."""
        found = {}
        if self.tokens is not None:
            found["tokens_per_second"] = self.tokens * rows_per_second
        if self.flops is not None and self.peak is not None:
            peak = self.context.all_reduce({"peak": self.peak.flops})["peak"]
            found["peak_flops"] = peak
            found["model_flop_utilisation"] = self.flops * rows_per_second / peak
        return found

    def words(self, line: Scalars) -> str:
        """Put a line of metrics into two or three for people: progress, speed, what is odd."""
        fit, rate = self.fit, line["rows_per_second"]
        left = (fit.steps - line["step"]) * fit.batch_size / rate if rate else math.inf
        unit = "rows" if self.tokens is None else "tokens"
        speed = [
            f"{compact(line[f'{unit}_per_second'])} {unit}/s",
            f"wait {line['waiting_share']:.0%}",
        ]
        if self.peak is not None:
            speed.append(f"MFU {line['model_flop_utilisation']:.0%} of {self.peak}")
        speed.append(f"{line['peak_memory_gib']:.1f} GiB")
        usual = "" if self.band is None or self.unusual else "as usual  "
        unusual = f"\n    {self.unusual}" if self.unusual else ""
        busy = f"\n    {self.cpu}" if self.cpu and self.cpu.is_short else ""
        return (
            f"{self.task.name}  step {line['step']:.0f}/{fit.steps}  loss {line['loss']:.4g}  "
            f"{usual}ETA {duration(left)}\n    {'  '.join(speed)}{unusual}{busy}"
        )

    def alarms(self) -> Iterator[str]:
        empty, updates = self.without_rows
        if empty:
            yield (
                f"no row of {empty} of {updates} batches can be used, and so many updates were "
                "skipped: their pictures cannot be read; run filter again"
            )
        if self.far and not self.warned:  # once, until it is back
            yield (
                "the loss is far from what runs with these settings had here: "
                f"{self.unusual}; look at the data, or at what was changed"
            )
        self.warned = self.far


def used_memory(device: torch.device) -> int:
    """Return the peak in bytes: of tensors on a GPU, elsewhere of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class MetricsLog:
    """Gathers metrics, events and pictures of one run, and commits them when told to.

    After a restart it continues from the committed lines up to `step`.
    """

    def __init__(self, out: Folder, step: int) -> None:
        self.out = out
        self.lines = _lines_up_to(out, step)
        before = self.lines[-1]["seconds"] if self.lines else 0.0
        self._started = time.perf_counter() - before
        self._events_name = f"{EVENTS}events.out.tfevents.{step:08d}"
        self._scratch = tempfile.TemporaryDirectory(prefix="events-")
        # purge_step hides what a killed run wrote about the steps that are now done again.
        self._events = SummaryWriter(self._scratch.name, purge_step=step + 1)

    def add(self, line: Scalars) -> None:
        """Keep a line of scalars, one of them `step`; add the seconds trained so far."""
        timed = line | {"seconds": time.perf_counter() - self._started}
        last = self.lines[-1] if self.lines else {}
        if last.keys() == timed.keys() and last["step"] == line["step"]:
            self.lines.pop()  # killed after the last validation, which is done again
        self.lines.append(timed)
        for name, value in line.items():
            if name != "step":
                self._events.add_scalar(name, value, int(line["step"]))

    def pictures(self, step: int, files: Mapping[str, bytes]) -> None:
        """Commit PNG files by name without ending, and show them in TensorBoard."""
        for name, data in files.items():
            self.out.commit(f"{PICTURES}{name}-{step:08d}.png", data)
            self._events.add_image(name, decode(data), step, dataformats="HWC")

    def alarm(self, step: int, sentence: str) -> None:
        self._events.add_text("alarm", sentence, step)

    def commit(self) -> None:
        """Make all lines and events so far durable."""
        # numbers that are not finite become null: JSON has no word for them
        valid = [
            {k: v if math.isfinite(v) else None for k, v in line.items()} for line in self.lines
        ]
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in valid)
        self.out.commit(METRICS, text.encode())
        self._events.flush()
        (file,) = Path(self._scratch.name).iterdir()
        self.out.commit(self._events_name, file.read_bytes())

    def close(self) -> None:
        self._events.close()
        self._scratch.cleanup()


def _lines_up_to(out: Folder, step: int) -> list[Scalars]:
    if not out.exists(METRICS):
        return []
    with out.open(METRICS) as file:
        lines = [json.loads(line) for line in file]
    return [
        {name: math.nan if value is None else value for name, value in line.items()}
        for line in lines
        if line["step"] <= step
    ]
