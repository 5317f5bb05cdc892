"""How far a training run is, on the driver's screen, though it runs in another process.

The worker leaves its newest line, and every alarm so far, in the cluster's key-value store, where
the driver looks.
"""

import json
import logging
import sys
import threading
import uuid
from types import TracebackType
from typing import Protocol

from schemas.settings import FitSettings
from stages.progress import Progress

SECONDS_BETWEEN_LOOKS = 0.5

LOG = logging.getLogger(__name__)


class Say(Protocol):
    """What a worker calls with its step and a line for people; an alarm is never passed over."""

    def __call__(self, step: int, line: str, *, alarm: bool = False) -> None: ...


def to_log(step: int, line: str, *, alarm: bool = False) -> None:
    """Say it in this process's log."""
    LOG.log(logging.WARNING if alarm else logging.INFO, "%s", line)


def tell(key: str) -> Say:
    """Return what says it to the driver."""
    from ray.experimental import internal_kv  # here, as everywhere: stages import without Ray

    # After a restart, what was told before it stays told: alarms are shown by their number.
    told = internal_kv._internal_kv_get(key)
    *newest, alarms = json.loads(told) if told else (0, "", [])

    def say(step: int, line: str, *, alarm: bool = False) -> None:
        if alarm:
            alarms.append(line)
        else:
            newest[:] = [step, line]
        internal_kv._internal_kv_put(key, json.dumps([*newest, alarms]).encode())

    return say


class Watch:
    """Shows what workers tell under a key: a bar on a terminal, else their lines in the log."""

    def __init__(self, name: str, cfg: FitSettings) -> None:
        from ray.experimental import internal_kv

        self._store = internal_kv
        self.name, self.cfg = name, cfg
        self.key = f"{name}-{uuid.uuid4().hex}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._shown = self._warned = 0
        self._bar: Progress | None = None

    def __enter__(self) -> str:
        self._thread.start()
        return self.key

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if not isinstance(error, KeyboardInterrupt):  # whose signal may have ended Ray too
            self._thread.join()
            self._show()
            self._store._internal_kv_del(self.key)
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)

    def _look(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_LOOKS):
            self._show()

    def _show(self) -> None:
        told = self._store._internal_kv_get(self.key)
        if not told:
            return
        step, line, alarms = json.loads(told)
        for alarm in alarms[self._warned :]:
            LOG.warning("%s", alarm)
        self._warned = len(alarms)
        if step == self._shown:
            return
        if not sys.stderr.isatty():
            LOG.info("%s", line)
        elif self._bar is None:  # made now, so that start-up does not count in the rate
            total, rows = self.cfg.steps * self.cfg.batch_size, step * self.cfg.batch_size
            self._bar = Progress(self.name, total, done=rows).__enter__()
        else:
            self._bar.advance((step - self._shown) * self.cfg.batch_size, line)
        self._shown = step
