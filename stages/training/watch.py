"""How far a training is, on the driver's screen, though it runs in other processes.

Rank 0 leaves its newest line, and every alarm so far, in the cluster's key-value store, where the
driver looks.
"""

import json
import logging
import sys
import threading
import uuid
from typing import Protocol

from schemas.settings import FitSettings
from stages.progress import Progress

SECONDS_BETWEEN_LOOKS = 0.5

LOG = logging.getLogger(__name__)


class Log(Protocol):
    """What a worker calls with its step and a line for people; an alarm is never passed over."""

    def __call__(self, step: int, line: str, *, alarm: bool = False) -> None: ...


def to_log(step: int, line: str, *, alarm: bool = False) -> None:
    LOG.log(logging.WARNING if alarm else logging.INFO, "%s", line)


def log_to_driver(key: str) -> Log:
    """Return a log that the driver's `Watch` with this key shows."""
    from ray.experimental import internal_kv  # here, as everywhere: stages import without Ray

    # After a restart, earlier alarms stay: the driver counts those it has shown.
    stored = internal_kv._internal_kv_get(key)
    *newest, alarms = json.loads(stored) if stored else (0, "", [])

    def log(step: int, line: str, *, alarm: bool = False) -> None:
        if alarm:
            alarms.append(line)
        else:
            newest[:] = [step, line]
        internal_kv._internal_kv_put(key, json.dumps([*newest, alarms]).encode())

    return log


class Watch:
    """Shows the workers' log under a key: a bar on a terminal, else the lines themselves."""

    def __init__(self, name: str, fit: FitSettings) -> None:
        from ray.experimental import internal_kv

        self._store = internal_kv
        self.name, self.fit = name, fit
        self.key = f"{name}-{uuid.uuid4().hex}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._shown = self._warned = 0
        self._bar: Progress | None = None

    def __enter__(self) -> str:
        self._thread.start()
        return self.key

    def __exit__(self, kind: object, error: object, trace: object) -> None:
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
        stored = self._store._internal_kv_get(self.key)
        if not stored:
            return
        step, line, alarms = json.loads(stored)
        for alarm in alarms[self._warned :]:
            LOG.warning("%s", alarm)
        self._warned = len(alarms)
        if step == self._shown:
            return
        if not sys.stderr.isatty():
            LOG.info("%s", line)
        elif self._bar is None:  # made now, so that start-up does not count in the rate
            total, rows = self.fit.steps * self.fit.batch_size, step * self.fit.batch_size
            self._bar = Progress(self.name, total, done=rows).__enter__()
        else:
            self._bar.advance((step - self._shown) * self.fit.batch_size, line)
        self._shown = step
