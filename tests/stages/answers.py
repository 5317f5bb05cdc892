"""A server on this machine that answers each path with the bytes that a test wrote down."""

import contextlib
import socketserver
import time
import urllib.request
from urllib.parse import urlsplit

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
            head = b"".join(iter(self.rfile.readline, b"\r\n")).decode()
            self.server.asked.append((path, time.monotonic(), head))
            for part in self.server.written.get(path, self.server.otherwise):
                self.wfile.write(part)


class Answers(socketserver.ThreadingTCPServer):
    """Sends what is written down for a path, and notes who asked for it."""

    request_queue_size = 64

    def __init__(self, *otherwise):
        self.written, self.otherwise, self.asked = {}, otherwise, []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def place(self):
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def seen(self):
        return [path for path, *_ in self.asked]

    def times(self, url):
        """How often somebody asked for it."""
        return self.seen.count(urlsplit(url).path)

    def url(self, *parts, path=None, of=None):
        """Have these bytes sent as the whole answer, or those of `of`; return where."""
        path = path or f"/{len(self.written)}.jpg"
        self.written[path] = of or parts
        return f"http://{self.place}{path}"


@contextlib.contextmanager
def answering(*otherwise, tls=None):
    """Have one such server up while the block runs, which sends `otherwise` for other paths."""
    server = Answers(*otherwise)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
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


class Drip:
    """The beginning of an answer, then bytes one by one, a tenth of a second apart."""

    def __init__(self, begins=b""):
        self.begins = begins

    def __iter__(self):
        yield self.begins
        for _ in range(100):
            yield b"x"
            time.sleep(0.1)


class Turns:
    """One answer after another, of which the last stays."""

    def __init__(self, *answers):
        self.left = list(answers)

    def __iter__(self):
        yield self.left.pop(0) if len(self.left) > 1 else self.left[0]


CAP = 100_000
PICTURE = picture(7)
HALF = len(PICTURE) // 2
PAGE = b"<!doctype html><head><style>b{}</style><title>Just a moment...</title></head><p>Ray 8f1c"
CHUNKED = {"Transfer_Encoding": "chunked", "length": False}


def opener(*places, contact="", **what):
    """Return an opener that may reach the places, and asks for no robots.txt unless told to."""
    settings = {"max_bytes": CAP, "retries": 0, "respect_robots": False} | what
    run = {"allow_hosts": places, "contact": contact}
    return WebOpener(CrawlSettings(**settings, run=run))


def fetch(own, url, seconds=10.0):
    return own.open(urllib.request.Request(url), None, seconds).read()


def get(url, *allow, seconds=10.0, **options):
    """Fetch the body, of which alone the opener's budget must know then."""
    own = opener(*allow, **options)
    try:
        body = fetch(own, url, seconds)
    except Refused:
        assert own.budget.held == 0
        raise
    assert own.budget.held == len(body)
    return body


def fetched(server, *parts, cap=CAP):
    """Fetch such an answer."""
    return get(server.url(*parts), server.place, max_bytes=cap)


def why_not(url, *allow, **options):
    """Return the reason why it is refused, by the opener or by urllib, which wants urls."""
    with pytest.raises((Refused, ValueError)) as caught:
        get(url, *allow, **options)
    return reason_of(str(caught.value))


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
