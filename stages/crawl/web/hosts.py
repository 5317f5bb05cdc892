"""Politeness: few connections to one host at a time, a pause between them, and Retry-After.

A thread waits for its host here, before the deadline of its fetch starts. So that few have to wait,
the urls of a list are ordered so that its hosts take turns.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stages.crawl.reasons import Refused
from stages.crawl.web.addresses import parse

MAX_HOSTS = 10_000  # remembered at once; idle ones are forgotten beyond it


def taking_turns(urls: Sequence[str]) -> list[int]:
    """Return an order of the urls in which each host comes once before any comes again."""
    seen: Counter[str] = Counter()
    ranks = []
    for url in urls:
        place = _place(url)
        ranks.append(seen[place])
        seen[place] += 1
    return sorted(range(len(urls)), key=ranks.__getitem__)


def _place(url: str) -> str:
    try:
        return parse(url).place
    except Refused:
        return url  # fails before connecting, so its order is irrelevant


class _Host:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.active = 0
        self.users = 0  # inside or waiting
        self.next_start = 0.0
        self.closed_until = 0.0

    @property
    def is_idle(self) -> bool:
        now = time.monotonic()
        return not self.users and self.next_start <= now and self.closed_until <= now


class Hosts:
    """Limits the requests to each `host:port`, for all threads of a process."""

    def __init__(self, connections: int, pause: float) -> None:
        self.connections, self.pause = connections, pause
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    @contextmanager
    def turn(self, place: str, *, pause: float = 0, crowd: bool = False) -> Iterator[None]:
        """Wait until the host may be asked; the block counts as one of its requests.

        `pause` is what the host itself asks for between requests; a `crowd` has no limit on
        connections. Raises Refused if the host has asked us to stay away for long.
        """
        with self._using(place) as host:
            with host.changed:
                while seconds := self._must_wait(host, crowd):
                    host.changed.wait(seconds)
                host.active += 1
                host.next_start = time.monotonic() + max(self.pause, pause)
            try:
                yield
            finally:
                with host.changed:
                    host.active -= 1
                    host.changed.notify_all()

    def hold(self, place: str, seconds: float) -> None:
        """Let requests to the host wait for so long."""
        with self._using(place) as host, host.changed:
            host.next_start = max(host.next_start, time.monotonic() + seconds)

    def close(self, place: str, seconds: float) -> None:
        """Refuse requests to the host for so long."""
        with self._using(place) as host, host.changed:
            host.closed_until = max(host.closed_until, time.monotonic() + seconds)
            host.changed.notify_all()

    def _must_wait(self, host: _Host, crowd: bool) -> float:
        now = time.monotonic()
        if host.closed_until > now:
            raise Refused("http_429", "asked not to come for longer than we wait", again=False)
        if host.next_start > now:
            return host.next_start - now
        # A thread that leaves notifies; the minute only bounds the wait.
        return 60.0 if host.active >= self.connections and not crowd else 0.0

    @contextmanager
    def _using(self, place: str) -> Iterator[_Host]:
        with self._lock:
            if len(self._hosts) > MAX_HOSTS:
                for old in [name for name, host in self._hosts.items() if host.is_idle]:
                    del self._hosts[old]
            host = self._hosts.setdefault(place, _Host())
            host.users += 1
        try:
            yield host
        finally:
            with self._lock:
                host.users -= 1
