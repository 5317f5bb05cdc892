"""How a training run goes: one line of metrics for a window of updates, and one for people."""

import math
import resource
import sys
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from schemas.settings import FitSettings
from stages.training import schedules
from stages.training.peaks import peak_of
from stages.training.precision import product_type
from stages.training.processors import Processors, Share
from stages.training.record import Scalars
from stages.training.state import State
from stages.training.task import Place, Task
from stages.training.usual import band_of


class Window:
    """What happened since the last line of the log."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.rows, self.updates = 0, 0
        self.without_rows = 0  # updates in which no worker had one
        self.waited, self.spent = 0.0, 0.0  # seconds; waiting is part of what was spent
        self.processors = Processors()

    def add(self, sums: Mapping[str, Tensor], counts: Mapping[str, int]) -> None:
        """Add the terms of one forward pass; nothing waits for the device."""
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()
            self.counts[name] = self.counts.get(name, 0) + counts[name]

    def means(self, place: Place) -> Scalars:
        """Return the mean of each term over all rows of all workers; of no updates, nothing."""
        total = place.total({name: value.item() for name, value in self.sums.items()})
        count = place.total(self.counts)
        return {name: total[name] / max(count[name], 1) for name in total}


class Meter:
    """What a window of updates comes to, measured against what the devices could do."""

    def __init__(self, task: Task, cfg: FitSettings, place: Place) -> None:
        self.task, self.cfg, self.place = task, cfg, place
        self.work = task.work()
        kind = product_type(cfg.precision, place.device)
        self.peak = peak_of(place.device, kind) if self.work.flops is not None else None
        self.band = band_of(self.work.settings)
        self.unusual, self.far = "", False  # as the last window was
        self.told = False
        self.without_rows = 0, 0  # of so many updates
        self.share: Share | None = None

    def metrics(self, state: State, window: Window, norm: float) -> Scalars:
        """Return one line of metrics for the updates since the last one; all workers take part."""
        step = state.step - 1  # the last update that was made
        place, task, cfg = self.place, self.task, self.cfg
        means, weights = window.means(place), task.weights(step)
        waited, spent = window.waited, window.spent
        total = place.total({"rows": window.rows, "waited": waited, "spent": spent})
        rows_per_second = place.world * total["rows"] / total["spent"]
        self.without_rows = window.without_rows, window.updates
        self.share = window.processors.share()
        if self.band is not None and means:
            middle = (state.step - window.updates / 2) / cfg.steps
            self.unusual, self.far = self.band.outside(middle, means)
        return {
            "step": state.step,
            "loss": sum(weights[name] * means[name] for name in means) if means else math.nan,
            **means,
            **task.schedule(step),
            "step_size": schedules.step_size(step, cfg, state.plateau.halvings),
            "gradient_norm": norm,
            "skipped_updates": state.skipped,
            "rows_left_out": window.updates * cfg.batch_size - total["rows"],
            "rows_per_second": rows_per_second,
            "waiting_share": total["waited"] / total["spent"],
            **({"cores": self.share.got, "cores_wanted": self.share.wanted} if self.share else {}),
            "peak_memory_gib": place.largest(used_memory(place.device)) / 2**30,
            **self._use(rows_per_second),
        }

    def _use(self, rows_per_second: float) -> Scalars:
        """Say what the rows are worth; all workers take part."""
        found = {}
        if self.work.unit != "rows":
            found[f"{self.work.unit}_per_second"] = self.work.units * rows_per_second
        if self.work.flops is not None and self.peak is not None:
            peak = self.place.total({"peak": self.peak.flops})["peak"]
            found["peak_flops"] = peak
            found["model_flop_utilisation"] = self.work.flops * rows_per_second / peak
        return found

    def words(self, line: Scalars) -> str:
        """Put a line of metrics into two or three for people: how far, how fast, what is odd."""
        cfg, unit = self.cfg, self.work.unit
        pace_now = line["rows_per_second"]
        left = (cfg.steps - line["step"]) * cfg.batch_size / pace_now if pace_now else math.inf
        pace = [
            f"{short(line[f'{unit}_per_second'])} {unit}/s",
            f"wait {line['waiting_share']:.0%}",
        ]
        if self.peak is not None:
            pace.append(f"MFU {line['model_flop_utilisation']:.0%} of {self.peak}")
        pace.append(f"{line['peak_memory_gib']:.1f} GiB")
        usual = "" if self.band is None or self.unusual else "as usual  "
        unusual = f"\n    {self.unusual}" if self.unusual else ""
        busy = f"\n    {self.share.words()}" if self.share and self.share.is_short else ""
        return (
            f"{self.task.name}  step {line['step']:.0f}/{cfg.steps}  loss {line['loss']:.4g}  "
            f"{usual}ETA {clock(left)}\n    {'  '.join(pace)}{unusual}{busy}"
        )

    def alarms(self) -> Iterator[str]:
        """Yield what is to be said aloud of the last window."""
        empty, updates = self.without_rows
        if empty:
            yield (
                f"no row of {empty} of {updates} batches can be used, and so many updates were "
                "skipped: their pictures cannot be read; run filter again"
            )
        if self.far and not self.told:  # once, until it is back
            yield self.warning()
        self.told = self.far

    def warning(self) -> str:
        """Say that the loss is far from what is usual."""
        return (
            f"the loss is far from what runs with these settings had here: {self.unusual}; "
            "look at the data, or at what was changed"
        )


def used_memory(device: torch.device) -> int:
    """Return the most bytes held so far: a GPU's by tensors, elsewhere by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def short(number: float) -> str:
    """Write a large number in few characters."""
    for unit in ("", " k", " M"):
        if number < 9_999.5:
            return f"{number:,.0f}{unit}"
        number /= 1_000
    return f"{number:,.0f} G"


def clock(seconds: float) -> str:
    """Write a time in its two largest units."""
    if seconds == math.inf:
        return "unknown"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02d}h"
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"
