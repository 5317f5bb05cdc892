"""Show how far a long job is: a bar with rate and time left, or plain lines in a log."""

import logging
import math
import sys
import threading
import time
from collections.abc import Iterable
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from stages.numbers import compact, duration

LOG = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 5.0


class Bar(RichProgress):
    """A bar, and under it what there is to say beside the count."""

    note = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.note:
            yield Text(self.note)


class Progress:
    """Counts rows (or other units) to a total: a bar on a terminal, else lines in the log."""

    def __init__(self, what: str, total: int, *, done: int = 0, unit: str = "rows") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done, self.done_before = done, done  # what an earlier run did says nothing of the rate
        self.started = time.monotonic()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}/s"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.add_task(self.what, total=self.total, completed=self.done, rate="-")
            try:
                self._bar.start()
            except KeyboardInterrupt:  # a bar half begun would keep the cursor and standard output
                self._bar.stop()
                raise
        else:
            self._thread = threading.Thread(target=self._write_lines, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._bar is not None:
            self._bar.stop()
        if self._thread is not None:
            self._thread.join()
        LOG.info("%s", self.line())

    def advance(self, rows: int, note: str = "") -> None:
        """Count `rows` more as done; a note is shown under a bar until the next one."""
        self.done += rows
        if self._bar is not None:
            self._bar.note = note
            self._bar.update(self._bar.task_ids[0], completed=self.done, rate=compact(self.rate))

    @property
    def rate(self) -> float:
        """Rows per second since this object was made."""
        return (self.done - self.done_before) / max(time.monotonic() - self.started, 1e-9)

    def line(self) -> str:
        """Describe the count, the rate, and the time left, or taken once all is done."""
        state = f"{self.what}: {self.done:,}/{self.total:,} {self.unit}, {compact(self.rate)}/s"
        if self.done >= self.total:
            return f"{state}, took {duration(time.monotonic() - self.started)}"
        left = (self.total - self.done) / self.rate if self.rate else math.inf
        return f"{state}, ETA {duration(left)}"

    def _write_lines(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_LINES):
            LOG.info("%s", self.line())
