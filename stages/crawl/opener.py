"""Open urls from strangers: public addresses only, and every size and time has an end.

img2dataset fetches through whatever opener urllib has installed; `WebOpener` is ours. It checks
the address that is then connected to, so no name can be re-pointed in between, and does so again
at each redirect. One deadline covers connecting, headers, body and redirects. What is left: the
lookup of a host name is bounded by the system's resolver alone.
"""

import http.client
import io
import ipaddress
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import urllib.response
from collections.abc import Callable
from functools import partial
from typing import Any

MAX_REDIRECTS = 5
CHUNK = 2**16
BACK_OFF_SECONDS = 0.5
PICTURE_TYPES = ("image/", "application/octet-stream", "binary/octet-stream")
# Worth another try: the server, not the request, was at fault. The rest fails at once.
TRANSIENT = (429, 500, 502, 503, 504)

Resolve = Callable[..., list[tuple[Any, ...]]]


class Refused(Exception):
    """We do not fetch this; the text is `reason: detail`. Not an OSError, which urllib rewraps."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")


def is_public(address: str) -> bool:
    """Say whether an IP address, or the IPv4 address hidden in an IPv6 one, is on the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        for inner in (ip.ipv4_mapped, ip.sixtofour, (ip.teredo or (None, None))[1], _nat64(ip)):
            if inner is not None:
                return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    inside = ip in ipaddress.IPv6Network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if inside else None


def safe_url(url: str) -> str:
    """Write the spaces and foreign letters of an address the way the web wants them."""
    url = url.strip()
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    except (ValueError, UnicodeError):
        return url  # opening it will say what is wrong
    keep = "%/:=&?~#+!$,;'@()*[]|"
    path, query = (urllib.parse.quote(part, safe=keep) for part in (parts.path, parts.query))
    return urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))


class _Deadline:
    """Mixed into a socket: each read may last only until the whole fetch must be over."""

    deadline = float("inf")

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_left(self.deadline))  # type: ignore[attr-defined]
        return super().recv_into(*args, **kwargs)  # type: ignore[misc]


class _PlainSocket(_Deadline, socket.socket):
    pass


class _TlsSocket(_Deadline, ssl.SSLSocket):
    pass


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _Guard:
    """Mixed into a connection: connects to public addresses, or to an allowed host and port."""

    host: str
    port: int

    def __init__(self, host: str, *, rules: "WebOpener", deadline: float, **kwargs: Any) -> None:
        super().__init__(host, **kwargs)  # type: ignore[call-arg]
        self.rules, self.deadline = rules, deadline

    def open_socket(self) -> _PlainSocket:
        """Return a connected socket; raise Refused if no address of the host may be reached."""
        if not re.fullmatch(r"[\w.:%-]+", self.host):
            raise Refused("bad_url", f"'{self.host}' is no name of a host")
        allowed = f"{self.host}:{self.port}".lower() in self.rules.allow_hosts
        found = self.rules.resolve(self.host, self.port, type=socket.SOCK_STREAM)
        error: OSError | None = None
        for family, kind, protocol, _, address in found:
            if not allowed and not is_public(address[0]):
                raise Refused("forbidden_address", f"{self.host} is {address[0]}, not public")
            sock = _PlainSocket(family, kind, protocol)
            try:
                sock.settimeout(_left(self.deadline))
                sock.connect(address)
            except OSError as failure:
                sock.close()
                error = failure
            else:
                sock.deadline = self.deadline
                return sock
        raise error or OSError(f"{self.host} has no address")


class _HttpConnection(_Guard, http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = self.open_socket()


class _HttpsConnection(_Guard, http.client.HTTPSConnection):
    def connect(self) -> None:
        sock = self.rules.tls.wrap_socket(self.open_socket(), server_hostname=self.host)
        sock.deadline = self.deadline  # type: ignore[attr-defined]
        self.sock = sock


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    def __init__(self, rules: "WebOpener") -> None:
        super().__init__()
        self.rules = rules

    def http_open(self, req: Any) -> Any:
        connection = partial(_HttpConnection, rules=self.rules, deadline=req.deadline)
        return self.do_open(connection, req)

    def https_open(self, req: Any) -> Any:
        connection = partial(_HttpsConnection, rules=self.rules, deadline=req.deadline)
        return self.do_open(connection, req, context=self.rules.tls)


class _Redirect(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS

    def redirect_request(self, req: Any, *args: Any) -> Any:
        new = super().redirect_request(req, *args)
        if new is not None:
            new.deadline = req.deadline  # type: ignore[attr-defined]
        return new

    def http_error_302(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        fp.close()  # urllib would read a redirect's body to its end, however long
        return super().http_error_302(req, io.BytesIO(), code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class WebOpener:
    """What `urllib.request.install_opener` is given; `open` returns a body read to its end."""

    def __init__(
        self,
        *,
        max_bytes: int,
        retries: int = 0,
        allow_hosts: tuple[str, ...] = (),
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self.max_bytes, self.retries, self.resolve = max_bytes, retries, resolve
        self.allow_hosts = frozenset(host.lower() for host in allow_hosts)
        self.tls = ssl.create_default_context()
        self.tls.sslsocket_class = _TlsSocket
        self._director = urllib.request.OpenerDirector()
        for handler in (
            _Handler(self),
            _Redirect(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.UnknownHandler(),
        ):
            self._director.add_handler(handler)

    def open(
        self, request: urllib.request.Request, data: None = None, timeout: float = 10
    ) -> urllib.response.addinfourl:
        """Fetch within `timeout` seconds in all, trying again after what may pass.

        Raises Refused, urllib.error.URLError, OSError or http.client.HTTPException.
        """
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(BACK_OFF_SECONDS * 2 ** (attempt - 1))
            try:
                return self._once(request, timeout)
            except (OSError, http.client.HTTPException) as error:
                if attempt == self.retries or not _may_pass(error):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _once(self, request: urllib.request.Request, timeout: float) -> urllib.response.addinfourl:
        request.deadline = time.monotonic() + timeout  # type: ignore[attr-defined]
        request.redirect_dict = {}  # type: ignore[attr-defined]
        with self._director.open(request, timeout=timeout) as reply:
            kind = reply.headers.get_content_type() if "Content-Type" in reply.headers else "image/"
            if not kind.startswith(PICTURE_TYPES):
                raise Refused("not_an_image", f"content type {kind}")
            if (reply.length or 0) > self.max_bytes:
                raise Refused("too_large", f"{reply.length} bytes announced")
            return urllib.response.addinfourl(
                io.BytesIO(self._body(reply)), reply.headers, reply.url, reply.status
            )

    def _body(self, reply: Any) -> bytes:
        body = bytearray()
        while chunk := reply.read(CHUNK):
            body += chunk
            if len(body) > self.max_bytes:
                raise Refused("too_large", f"more than {self.max_bytes} bytes")
        if reply.length:  # http.client reports a short body only when asked for all of it
            raise http.client.IncompleteRead(bytes(body), reply.length)
        return bytes(body)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in TRANSIENT
    if isinstance(error, urllib.error.URLError):
        return isinstance(error.reason, OSError) and _may_pass(error.reason)
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    # A host that was too slow is so again a moment later.
    return not isinstance(error, TimeoutError | http.client.InvalidURL)
