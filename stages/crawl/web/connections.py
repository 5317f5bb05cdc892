"""Connections to public addresses only, with one deadline for all of a fetch.

The address that is checked is the one that is then connected to, so no name can be re-pointed in
between. A look-up of a name runs in a thread of its own, because nothing else can end it.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

from stages.crawl.reasons import Refused
from stages.crawl.web.addresses import Address, is_public
from stages.crawl.web.replies import Reply

MAX_LOOKUPS = 256  # that wait for a resolver at one time
MAX_ADDRESSES = 4  # of one name that are tried

Resolve = Callable[..., list[tuple[Any, ...]]]


class Deadline:
    """The deadline of a whole fetch."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds until the end; raise TimeoutError when it is over."""
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    def hurry(self, seconds: float) -> None:
        self.at = min(self.at, time.monotonic() + seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time that the block takes."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.at += time.monotonic() - started


class _Deadline:
    """Mixed into a socket: each read or write may last only until the whole must be over."""

    deadline: Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())  # type: ignore[attr-defined]
        return super().recv_into(*args, **kwargs)  # type: ignore[misc]

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(self.deadline.left())  # type: ignore[attr-defined]
        super().sendall(*args, **kwargs)  # type: ignore[misc]


class _PlainSocket(_Deadline, socket.socket):
    pass


class _TlsSocket(_Deadline, ssl.SSLSocket):
    pass


class Network:
    """Opens connections; `allow_hosts` are host:port pairs that need not be public.

    An entry `host:port=address:port` says as well where that host is.
    """

    def __init__(
        self, allow_hosts: Collection[str] = (), resolve: Resolve = socket.getaddrinfo
    ) -> None:
        self.places = dict(_place(entry) for entry in allow_hosts)
        self.resolve = resolve
        self.tls = ssl.create_default_context()
        self.tls.sslsocket_class = _TlsSocket
        self._lookups = threading.BoundedSemaphore(MAX_LOOKUPS)

    def allows(self, address: Address) -> bool:
        return address.place in self.places

    def connection(self, address: Address, deadline: Deadline) -> http.client.HTTPConnection:
        """Return a connection that opens itself when it is used, and ends at `deadline`."""
        return _Connection(self, address, deadline)

    def open_socket(self, address: Address, deadline: Deadline) -> socket.socket:
        """Return a connected socket; raise Refused if an address of the host may not be reached.

        A name with one address that is not public is refused whole: it was made to deceive.
        """
        found = self._look_up(address, deadline)
        if not self.allows(address):
            inside = sorted(ip for *_, (ip, *_) in found if not is_public(ip))
            if inside:  # a resolver may have another order each time
                raise Refused("forbidden_address", f"{address.host} is {inside[0]}, not public")
        error: OSError = OSError(f"{address.host} has no address")
        for tried, (*kind, _, where) in enumerate(tries := found[:MAX_ADDRESSES]):
            sock = _PlainSocket(*kind)
            try:  # one address that swallows everything must leave time for the others
                sock.settimeout(deadline.left() / (len(tries) - tried))
                sock.connect(where)
            except OSError as failure:
                sock.close()
                error = failure
            else:
                sock.deadline = deadline
                return self._secured(sock, address) if address.scheme == "https" else sock
        raise error

    def _secured(self, sock: _PlainSocket, address: Address) -> socket.socket:
        sock.settimeout(sock.deadline.left())  # of the handshake as a whole
        try:
            secured = self.tls.wrap_socket(sock, server_hostname=address.host)
        except (OSError, ValueError):
            sock.close()
            raise
        secured.deadline = sock.deadline  # type: ignore[attr-defined]
        return secured

    def _look_up(self, address: Address, deadline: Deadline) -> list[tuple[Any, ...]]:
        asked = self.places.get(address.place) or (address.host, address.port)
        try:  # a number needs no resolver, in whatever form it is written
            return socket.getaddrinfo(*asked, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass
        if not self._lookups.acquire(timeout=deadline.left()):
            raise TimeoutError("timed out: too many look-ups of names are under way")
        answer: Future[list[tuple[Any, ...]]] = Future()
        threading.Thread(target=self._ask, args=(asked, answer), daemon=True).start()
        if not wait([answer], deadline.left()).done:
            raise TimeoutError("timed out: the look-up of the name")
        return answer.result()

    def _ask(self, asked: tuple[str, int], answer: "Future[list[tuple[Any, ...]]]") -> None:
        try:
            answer.set_result(self.resolve(*asked, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            answer.set_exception(error)
        finally:
            self._lookups.release()


def _place(entry: str) -> tuple[str, tuple[str, int] | None]:
    """Take apart what `crawl.run.allow_hosts` lists: a host and, if it says so, where that is."""
    place, _, there = entry.partition("=")
    host, _, port = there.rpartition(":")
    return place.lower(), (host.strip("[]"), int(port)) if there else None


class _Connection(http.client.HTTPConnection):
    response_class = Reply

    def __init__(self, network: Network, address: Address, deadline: Deadline) -> None:
        super().__init__(address.host, address.port)
        self.network, self.address, self.deadline = network, address, deadline
        if address.scheme == "https":
            self.default_port = http.client.HTTPS_PORT  # so that `Host` does not name it

    def connect(self) -> None:
        self.sock = self.network.open_socket(self.address, self.deadline)
