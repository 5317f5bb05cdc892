"""Fetch and obey robots.txt (RFC 9309), once per site.

No file, or one that we are not let at (4xx), allows everything; one that the site cannot give
(5xx) forbids everything for as long as that lasts. A site that cannot be reached at all fails with
the connection's own reason. Only the groups that concern us reach the parser: of a hostile file
with thousands of others it would make far too much.
"""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from protego import Protego

from stages.crawl.reasons import Refused
from stages.crawl.web.addresses import Address

MAX_BYTES = 500 * 1024  # RFC 9309, section 2.5; the rest is not read
FRESH_SECONDS, FAILED_SECONDS = 24 * 3_600.0, 60.0  # how long an answer, or none, is believed
MAX_SITES, MAX_CHARS = 10_000, 4_000_000  # remembered
MAX_DELAY_SECONDS = 30.0  # of `crawl-delay`
AGENT_LINE = re.compile(r"\s*user(?:-|\s+)?agent(?:\s*:|\s)\s*([^#]*)", re.IGNORECASE)

Fetch = Callable[[str], bytes]  # raises Refused


@dataclass(frozen=True)
class Rules:
    """What one site asks of us."""

    parsed: Protego
    agent: str
    chars: int

    @classmethod
    def parse(cls, text: str, agent: str) -> "Rules":
        kept = "\n".join(_ours(text, agent))
        return cls(Protego.parse(kept), agent, len(kept))

    def allow(self, url: str) -> bool:
        return bool(self.parsed.can_fetch(url, self.agent))

    @property
    def delay(self) -> float:
        """Seconds between two requests, as far as we go along with it."""
        return min(max(self.parsed.crawl_delay(self.agent) or 0.0, 0.0), MAX_DELAY_SECONDS)


def _ours(text: str, agent: str) -> Iterator[str]:
    """Yield the file's lines, with one name for all other robots and without their rules."""
    ours, in_head = True, False
    for line in text.splitlines():
        if match := AGENT_LINE.match(line):
            name = match[1].strip().lower()
            token = re.match(r"[a-z0-9_.-]*", name)
            mine = name == "*" or (token is not None and token[0] == agent)
            ours, in_head = (ours and in_head) or mine, True
            yield f"User-agent: {'*' if name == '*' else agent}" if mine else "User-agent: -"
        elif line.strip():
            in_head = False
            if ours:
                yield line


@dataclass
class _Site:
    found: "Future[Rules | Refused]" = field(default_factory=Future)
    good_until: float = float("inf")  # while it is being fetched
    chars: int = 0


class Robots:
    """The rules of all sites of late, fetched through `fetch`, for all threads of a process."""

    def __init__(self, agent: str, fetch: Fetch) -> None:
        self.agent, self.fetch = agent.lower(), fetch
        self._lock = threading.Lock()
        self._sites: OrderedDict[str, _Site] = OrderedDict()
        self._chars = 0

    def check(self, address: Address, url: str) -> Rules:
        """Return the site's rules; raise Refused if they forbid the url or cannot be had."""
        rules = self._rules(address.origin)
        if isinstance(rules, Refused):
            raise Refused(rules.reason, f"of robots.txt: {rules}", again=False) from rules
        if not rules.allow(url):
            raise Refused("robots_txt", f"forbidden by {address.origin}/robots.txt")
        return rules

    def _rules(self, origin: str) -> Rules | Refused:
        with self._lock:
            site = self._sites.get(origin)
            is_new = site is None or site.good_until < time.monotonic()
            if is_new:
                self._forget(origin)
                self._sites[origin] = site = _Site()
            else:
                self._sites.move_to_end(origin)
        assert site is not None
        if is_new:
            try:
                self._settle(site, self._read(origin))
            except BaseException as error:
                site.found.set_exception(error)  # waiting threads must not wait for ever
                raise
        return site.found.result()

    def _read(self, origin: str) -> Rules | Refused:
        try:
            text = self.fetch(f"{origin}/robots.txt").decode("utf-8-sig", errors="replace")
        except Refused as error:
            if re.fullmatch(r"http_[34]\d\d|too_many_redirects", error.reason):
                text = ""
            elif error.reason.startswith("http_"):
                return Refused("robots_unreachable", str(error))
            else:
                return error
        return Rules.parse(text, self.agent)

    def _settle(self, site: _Site, found: Rules | Refused) -> None:
        failed = isinstance(found, Refused)
        with self._lock:
            site.good_until = time.monotonic() + (FAILED_SECONDS if failed else FRESH_SECONDS)
            site.chars = 0 if isinstance(found, Refused) else found.chars
            self._chars += site.chars
            site.found.set_result(found)
            while len(self._sites) > MAX_SITES or self._chars > MAX_CHARS:
                self._forget(next(iter(self._sites)))

    def _forget(self, origin: str) -> None:
        if (site := self._sites.pop(origin, None)) is not None:
            self._chars -= site.chars
            site.chars = 0
