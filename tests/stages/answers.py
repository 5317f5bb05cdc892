"""A server on this machine that answers each path with the bytes that a test wrote down."""

import contextlib
import socket
import socketserver
import urllib.request

import pytest

from schemas.settings import CrawlSettings
from stages.crawl.reasons import Refused, reason_of
from stages.crawl.web.opener import WebOpener
from tests.servers import up
from tests.stages.hostile import picture


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):  # the client had enough
            path = self.rfile.readline().split()[1].decode()
            while self.rfile.readline().strip():
                pass
            self.server.seen.append(path)
            for part in self.server.written.get(path, ()):
                self.wfile.write(part)


class Answers(socketserver.ThreadingTCPServer):
    """Sends what is written down for a path, and notes who asked for it."""

    request_queue_size = 64

    def __init__(self):
        self.written, self.seen = {}, []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def place(self):
        return f"127.0.0.1:{self.server_address[1]}"

    def url(self, *parts, path=None):
        """Have these bytes sent as the whole answer; return where."""
        path = path or f"/{len(self.written)}.jpg"
        self.written[path] = parts
        return f"http://{self.place}{path}"


@contextlib.contextmanager
def answering():
    """Have one such server up while the block runs."""
    server = Answers()
    with up(server):
        yield server


def answer(body=b"", status="200 OK", kind="image/jpeg", length=True, **headers):
    """Write an answer of HTTP down; a header's value may be a list of several."""
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"Content-Type: {kind}"] if kind is not None else []
    lines += [f"Content-Length: {len(body)}"] if length else []
    for name, value in headers.items():
        for one in value if isinstance(value, list) else [value]:
            lines.append(f"{name.replace('_', '-')}: {one}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


CAP = 100_000
PICTURE = picture(7)
HALF = len(PICTURE) // 2
PAGE = b"<!doctype html><head><style>b{}</style><title>Just a moment...</title></head><p>Ray 8f1c"
CHUNKED = {"Transfer_Encoding": "chunked", "length": False}


def web_opener(*places, resolve=socket.getaddrinfo, contact="", **what):
    """Return an opener that may reach the places, and asks for no robots.txt unless told to."""
    settings = {"max_bytes": CAP, "retries": 0, "respect_robots": False} | what
    run = {"allow_hosts": places, "contact": contact}
    return WebOpener(CrawlSettings(**settings, run=run), resolve)


def fetched(server, *parts, cap=CAP):
    """Fetch such an answer; return the body, of which alone the opener's budget must know then."""
    own = web_opener(server.place, max_bytes=cap)
    try:
        body = own.open(urllib.request.Request(server.url(*parts)), None, 10.0).read()
    except Refused:
        assert own.budget.held == 0
        raise
    assert own.budget.held == len(body)
    return body


def refusal_of(server, sent):
    """Return why such an answer is refused, which must be fit to be kept, and equal each time."""
    details = []
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            fetched(server, sent)
        details.append(str(caught.value))
    first, again = details
    assert first == again
    assert first.isprintable()
    assert len(first) < 450
    assert reason_of(first) == caught.value.reason
    return first


def chunks(*parts, end=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end
