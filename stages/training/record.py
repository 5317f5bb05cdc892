"""What a run leaves for people: metrics as JSON lines and TensorBoard events, and pictures."""

import json
import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from schemas.artifacts import METRICS
from schemas.folder import Folder
from stages.pictures import decode

EVENTS, PICTURES = "events/", "pictures/"

Scalars = dict[str, float]


class Record:
    """Gathers lines and events of one run, and commits them when told to.

    After a restart it goes on from the committed lines up to `step`.
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
        """Commit pictures made at `step`, by name without ending, and show them in TensorBoard."""
        for name, data in files.items():
            self.out.commit(f"{PICTURES}{name}-{step:08d}.png", data)
            self._events.add_image(name, decode(data), step, dataformats="HWC")

    def alarm(self, step: int, sentence: str) -> None:
        """Keep what goes wrong, for TensorBoard's text page."""
        self._events.add_text("alarm", sentence, step)

    def commit(self) -> None:
        """Make all lines and events so far durable."""
        text = "".join(json.dumps(_valid(line), allow_nan=False) + "\n" for line in self.lines)
        self.out.commit(METRICS, text.encode())
        self._events.flush()
        (file,) = Path(self._scratch.name).iterdir()
        self.out.commit(self._events_name, file.read_bytes())

    def close(self) -> None:
        """Free the scratch folder."""
        self._events.close()
        self._scratch.cleanup()


def _valid(line: Scalars) -> dict[str, float | None]:
    """Write what is no finite number as null: JSON has no word for it."""
    return {name: value if math.isfinite(value) else None for name, value in line.items()}


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
