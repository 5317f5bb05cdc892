"""Fetch untrusted urls: public addresses only, with a limit on every size and time.

img2dataset fetches through the opener that urllib has installed; `WebOpener` is ours. Each attempt
has one deadline for DNS, connecting, headers, redirects and body. Temporary failures are retried,
after a while or when the server asked for it. Waiting for a host's turn and reading its robots.txt
come before, with limits of their own.
"""

import email.utils
import http.client
import io
import re
import time
import urllib.request
import urllib.response
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from email.message import Message
from typing import Any, NamedTuple, TypeVar

from schemas.settings import CrawlSettings
from stages.crawl.reasons import Refused, refusal
from stages.crawl.web import rights
from stages.crawl.web.addresses import Address, joined, parse
from stages.crawl.web.bodies import Bodies, Budget, first_part
from stages.crawl.web.connections import Deadline, Network
from stages.crawl.web.encodings import beginning, encodings
from stages.crawl.web.first_bytes import LOOKED_AT
from stages.crawl.web.hosts import Hosts
from stages.crawl.web.replies import phrase, what_came
from stages.crawl.web.robots import MAX_BYTES as ROBOTS_BYTES
from stages.crawl.web.robots import Robots

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
BACK_OFF_SECONDS = 0.5  # before the second try, then twice as long each time
MAX_WAIT_SECONDS = 30.0  # that a server may ask for; beyond it the row fails

Content = TypeVar("Content")
Resize = Callable[..., tuple[Any, ...]]  # as img2dataset calls it
Read = Callable[[http.client.HTTPResponse, Deadline], Content]


class _Redirect(NamedTuple):
    to: str


class WebOpener:
    """What `urllib.request.install_opener` is given; `open` returns a body read to its end."""

    def __init__(self, cfg: CrawlSettings) -> None:
        self.cfg = cfg
        self.hosts = Hosts(cfg.run.host_connections, cfg.run.host_pause_seconds)
        self.budget = Budget()
        self.bodies = Bodies(self.budget, cfg.max_bytes)
        self.network = Network(cfg.run.allow_hosts)
        self.robots = Robots(cfg.user_agent, self._robots_txt) if cfg.respect_robots else None
        contact = f"; +{cfg.run.contact}" if cfg.run.contact else ""
        self.headers = {
            "User-Agent": f"Mozilla/5.0 (compatible; {cfg.user_agent}{contact})",
            "Accept": "image/*,*/*;q=0.5",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }

    def open(
        self, request: urllib.request.Request, data: None = None, timeout: float = 10
    ) -> urllib.response.addinfourl:
        """Fetch a picture, each try within `timeout` seconds.

        Its bytes count in `budget` until they are given back. Raises Refused.
        """
        body, headers = self._tries(request.full_url, self._picture, timeout, self.robots)
        return urllib.response.addinfourl(io.BytesIO(body), headers, request.full_url, 200)

    def freeing(self, resize: Resize) -> Resize:
        """Return `resize` such that it gives the bytes of a picture back to the budget.

        The opener waits while too many bytes wait to be resized, so each picture it hands out must
        come to this resizer.
        """

        def resize_and_free(stream: io.BytesIO, boxes: None = None) -> tuple[Any, ...]:
            try:
                return resize(stream, boxes)
            finally:
                self.budget.give_back(stream.getbuffer().nbytes)

        return resize_and_free

    def _robots_txt(self, url: str) -> bytes:
        return self._tries(url, _first_bytes, self.cfg.timeout_seconds, None)

    def _tries(
        self, url: str, read: Read[Content], seconds: float, robots: Robots | None
    ) -> Content:
        for attempt in range(self.cfg.retries + 1):
            try:
                return self._follow(url, read, Deadline(seconds), robots)
            except Refused as error:
                if attempt == self.cfg.retries or not error.again:
                    raise
                wait = BACK_OFF_SECONDS * 2**attempt if error.wait is None else error.wait
            time.sleep(min(wait, MAX_WAIT_SECONDS))
        raise AssertionError("the last attempt returns or raises")

    def _follow(
        self, url: str, read: Read[Content], deadline: Deadline, robots: Robots | None
    ) -> Content:
        for _ in range(MAX_REDIRECTS + 1):
            address = parse(url)
            with ExitStack() as turn:
                with deadline.paused():
                    delay = robots.check(address, url).delay if robots is not None else 0.0
                    crowd = self.network.allows(address)  # the user's own: as fast as it goes
                    turn.enter_context(self.hosts.turn(address.place, pause=delay, crowd=crowd))
                answer = self._ask(address, read, deadline)
            if not isinstance(answer, _Redirect):
                return answer
            url = joined(url, answer.to)
            if not url.lower().startswith(("http:", "https:")):
                raise Refused("forbidden_address", f"redirected to {url[:100]}")
        raise Refused("too_many_redirects", f"more than {MAX_REDIRECTS}, at last to {url[:100]}")

    def _ask(
        self, address: Address, read: Read[Content], deadline: Deadline
    ) -> Content | _Redirect:
        """Send one request and return what `read` makes of the answer, or where it sends us."""
        connection = self.network.connection(address, deadline)
        try:
            connection.request("GET", address.target, headers=self.headers)
            reply = connection.getresponse()
            if reply.status in REDIRECTS and reply.headers.get("Location", "").strip():
                return _Redirect(reply.headers["Location"])  # its body, however long, is not read
            if not 200 <= reply.status < 300:
                raise self._rebuff(address, reply, deadline)
            return read(reply, deadline)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise refusal(error) from error
        finally:
            connection.close()

    def _rebuff(
        self, address: Address, reply: http.client.HTTPResponse, deadline: Deadline
    ) -> Refused:
        """Return the reason of an HTTP error; hold other requests back if the host asks."""
        wait = _retry_after(reply.headers)
        again = wait is None or wait <= MAX_WAIT_SECONDS
        if reply.status == 429 and wait is not None:
            keep_away = self.hosts.hold if again else self.hosts.close
            keep_away(address.place, wait)
        return Refused(f"http_{reply.status}", _words(reply, deadline), wait=wait, again=again)

    def _picture(
        self, reply: http.client.HTTPResponse, deadline: Deadline
    ) -> tuple[bytes, Message]:
        opt_out = rights.opts_out(reply.headers, self.cfg.user_agent)
        if opt_out and self.cfg.respect_opt_outs:
            raise Refused("opted_out", opt_out)
        return self.bodies.picture(reply, deadline), reply.headers


def _first_bytes(reply: http.client.HTTPResponse, deadline: Deadline) -> bytes:
    start = reply.read(ROBOTS_BYTES)
    return beginning(start, encodings(reply.headers, start), ROBOTS_BYTES)


def _words(reply: http.client.HTTPResponse, deadline: Deadline) -> str:
    """Say what an answer that is neither a picture nor a redirect says."""
    words, where = phrase(reply), reply.headers.get("Location", "").strip()
    if reply.status in REDIRECTS:
        words += ", without a Location"
    elif where:
        words += f", Location: {where} is not followed"
    start = first_part(reply, LOOKED_AT, deadline)
    return f"{words}, {what_came(reply, start)}" if start else words


def _retry_after(headers: Message) -> float | None:
    """Return the seconds that the server asks us to wait, if it says so in a form we know."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:  # "-0000": UTC, from a server that does not know its own zone
        date = date.replace(tzinfo=UTC)
    return max((date - datetime.now(UTC)).total_seconds(), 0.0)
