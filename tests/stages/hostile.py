"""A web that wants us ill, on this machine, and what must come of each of its addresses.

Sites are ports of 127.0.0.1. One of them is nobody's to reach: it is not in `allow_hosts`, and
counts who comes. What a path does is its first part; `KINDS` says how often it is in a list and
what the crawl must say of it (None: a picture).
"""

import contextlib
import http.server
import io
import random
import re
import struct
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import partialmethod

from PIL import Image, ImageEnhance

from tests.servers import up
from tests.stages import formats

MAX_BYTES = 500_000  # what the crawl of this web allows
SECONDS = 1.5  # and how long it waits
SITES = ("main", "robots", "broken_robots", "busy", "closed", "secret")
PRIVATE = (
    "http://127.0.0.1:{secret}", "http://localhost:{secret}", "http://2130706433:{secret}",
    "http://0x7f000001:{secret}", "http://0177.0.0.1:{secret}", "http://127.1:{secret}",
    "http://0.0.0.0:{secret}", "http://[::1]:{secret}", "http://[::]:{secret}",
    "http://[::ffff:127.0.0.1]:{secret}", "http://[64:ff9b::7f00:1]:{secret}",
    "http://[2002:7f00:1::]:{secret}", "https://127.0.0.1:{secret}",
    "http://\uff11\uff12\uff17.0.0.1:{secret}",
    "http://169.254.169.254", "http://[fe80::1]", "http://10.1.2.3", "http://192.168.0.1:8080",
    "http://[fd00:ec2::254]", "http://[::ffff:a9fe:a9fe]", "http://100.64.0.1",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """How often in 10,000 addresses, on which site, and what must come of it."""

    share: int
    expected: str | None = None
    site: str = "main"


KINDS = {
    "fine": Kind(4_900),
    "form": Kind(1_000),
    "copy": Kind(400),
    "spaced out, ü": Kind(100),
    "untyped": Kind(50),
    "huge": Kind(1),  # just below the cap: what an actor's memory must bear
    "hops/3": Kind(200),
    "heals": Kind(100),
    "missing": Kind(600, "http_404"),
    "forbidden": Kind(300, "http_403"),
    "gone": Kind(50, "http_410"),
    "broken": Kind(40, "http_500"),
    "slow_headers": Kind(15, "timeout"),
    "slow_body": Kind(15, "timeout"),
    "stalls": Kind(15, "timeout"),
    "cut": Kind(50, "connection_failed"),
    "hangs_up": Kind(50, "connection_failed"),
    "no_http": Kind(50, "connection_failed"),
    "endless": Kind(20, "too_large"),
    "announced": Kind(100, "too_large"),
    "bomb/20000": Kind(50, "too_large"),
    "bomb/50000": Kind(50, "too_large"),
    "page": Kind(200, "not_an_image"),
    "disguised": Kind(200, "not_an_image"),
    "garbage": Kind(100, "not_an_image"),
    "empty": Kind(100, "not_an_image"),
    "hops/6": Kind(50, "too_many_redirects"),
    "loop": Kind(50, "too_many_redirects"),
    "to_private": Kind(250, "forbidden_address"),
    "to_file": Kind(50, "forbidden_address"),
    "nowhere": Kind(20, "http_302"),
    "opted_out": Kind(200, "opted_out"),
    "open": Kind(150, None, "robots"),
    "closed": Kind(150, "robots_txt", "robots"),
    "any": Kind(100, "robots_unreachable", "broken_robots"),
    "limited": Kind(10, None, "busy"),
    "never": Kind(15, "http_429", "closed"),
    "private": Kind(200, "forbidden_address"),  # these two are no paths
    "no_web": Kind(50, "bad_url"),
}
OPT_OUTS = (
    ("X-Robots-Tag", "noai"), ("X-Robots-Tag", "noimageai, nofollow"), ("X-Robots-Tag", "NoIndex"),
    ("X-Robots-Tag", "noimageindex"), ("X-Robots-Tag", "none"), ("X-Robots-Tag", "noml"),
    ("X-Robots-Tag", "otherbot: nofollow, dalle-ray: noai"), ("tdm-reservation", "1"),
)  # fmt: skip
NO_WEB = (
    "file:///etc/hostname", "data:image/png;base64,AAAA", "ftp://example.com/{}.png", "{}",
    "http://", "http://exa mple.com/{}", "http://a@127.0.0.1/{}", "javascript:alert({})",
)  # fmt: skip


def bomb(side: int, dot_bits: int = 1) -> bytes:
    """A small PNG file of side x side white dots, of black and white or (32 bits) of any colour."""
    squeeze, row = zlib.compressobj(9), b"\0" + b"\xff" * -(-side * dot_bits // 8)
    data = b"".join(squeeze.compress(row * 10) for _ in range(side // 10)) + squeeze.flush()

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBB", side, side, min(dot_bits, 8), 0 if dot_bits == 1 else 6)
    parts = chunk(b"IHDR", header + bytes(3)), chunk(b"IDAT", data), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def copies() -> list[bytes]:
    """One picture as it is, encoded again, resized, brighter: near duplicates for later stages."""
    small = formats.upright().resize((90, 60))
    bright = ImageEnhance.Brightness(formats.upright()).enhance(1.1)
    return [
        formats.saved(formats.upright(), "PNG"),
        formats.saved(formats.upright(), "JPEG", quality=70),
        formats.saved(small, "PNG"),
        formats.saved(bright, "PNG"),
    ]


class Web:
    """The sites while they are up, and what they have seen."""

    def __init__(self, servers):
        self.servers = servers
        self.ports = {name: server.server_port for name, server in servers.items()}
        self.seen, self.requests = Counter(), Counter()
        self.lock = threading.Lock()
        self.forms = [*formats.in_colour().values(), *formats.in_grey().values()]
        self.copies, self.bombs = copies(), {str(n): bomb(n) for n in (20_000, 50_000)}
        self.large = bomb(8_190, dot_bits=32)

    @property
    def allow_hosts(self):
        return tuple(f"127.0.0.1:{port}" for name, port in self.ports.items() if name != "secret")

    @property
    def intruders(self):
        """How often somebody came to the port that is nobody's to reach."""
        return self.servers["secret"].connections

    def url(self, kind, number):
        """The address number `number` of this kind."""
        if kind == "private":
            return f"{self.private(number)}/{number}.jpg"
        if kind == "no_web":
            return NO_WEB[number % len(NO_WEB)].format(number)
        return f"http://127.0.0.1:{self.ports[KINDS[kind].site]}/{kind}/{number}.jpg"

    def private(self, number):
        return PRIVATE[number % len(PRIVATE)].format(**self.ports)

    def listed(self, count, seed=0):
        """Rows of a list: address, kind and the expected reason, well mixed."""
        whole = sum(kind.share for kind in KINDS.values())
        rows = []
        for name, kind in KINDS.items():
            for number in range(max(min(3, kind.share), count * kind.share // whole)):
                rows.append((self.url(name, number), name, kind.expected))
        rows += [(self.url("fine", n), "fine", None) for n in range(count, 2 * count - len(rows))]
        random.Random(seed).shuffle(rows)
        return rows[:count]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads, block_on_close, request_queue_size = True, False, 512

    def __init__(self, site):
        self.site, self.connections = site, 0
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def handle_error(self, request, client_address): ...


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.strip("/")
        with self.web.lock:
            self.web.requests[path] += 1
        if path == "robots.txt":
            return self.robots()
        kind, _, rest = path.partition("/")
        return getattr(self, re.match(r"\w+", kind)[0])(rest)

    def reply(self, status=200, body=b"", kind="image/jpeg", length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    @property
    def web(self):
        return self.server.web

    def first_time(self):
        with self.web.lock:
            self.web.seen[self.path] += 1
            return self.web.seen[self.path] == 1

    def number(self, rest):
        return int(rest.rpartition("/")[2].removesuffix(".jpg"))

    def robots(self):
        if self.server.site == "robots":
            text = b"User-agent: *\nDisallow: /\nUser-agent: dalle-ray\nDisallow: /closed/*.jpg$\n"
            self.reply(body=text, kind="text/plain")
        else:
            self.reply(503 if self.server.site == "broken_robots" else 404)

    def fine(self, rest):
        self.reply(body=picture(self.number(rest)))

    spaced = open = any = fine

    def form(self, rest):
        self.reply(body=self.web.forms[self.number(rest) % len(self.web.forms)])

    def copy(self, rest):
        self.reply(body=self.web.copies[self.number(rest) % len(self.web.copies)])

    def untyped(self, rest):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(picture(self.number(rest)))

    def hops(self, rest):
        count, _, name = rest.partition("/")
        left = int(count) - 1
        self.reply(302, Location=f"/hops/{left}/{name}" if left else f"/fine/{name}")

    def heals(self, rest):
        return self.reply(500) if self.first_time() else self.fine(rest)

    def limited(self, rest):
        return self.reply(429, Retry_After="1") if self.first_time() else self.fine(rest)

    def never(self, _):
        self.reply(429, Retry_After="86400")

    def status(self, status, _):
        self.reply(status)

    missing, forbidden = partialmethod(status, 404), partialmethod(status, 403)
    gone, broken = partialmethod(status, 410), partialmethod(status, 500)
    nowhere = partialmethod(status, 302)

    def drip(self, data):
        for byte in data:
            self.wfile.write(bytes([byte]))
            time.sleep(0.2)

    def slow_headers(self, _):
        self.drip(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n")

    def slow_body(self, _):
        self.send_response(200)
        self.end_headers()
        self.drip(picture(0)[:50])

    def stalls(self, _):
        time.sleep(3 * SECONDS)

    def hangs_up(self, _): ...

    def no_http(self, _):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")

    def cut(self, rest):
        body = picture(self.number(rest))
        self.reply(body=body[: len(body) // 2], length=len(body))

    def endless(self, _):
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        self.wfile.write(picture(0))
        for _ in range(100):
            self.wfile.write(bytes(100_000))

    def announced(self, _):
        self.reply(length=1_000_000_000)

    def bomb(self, rest):
        self.reply(body=self.web.bombs[rest.partition("/")[0]], kind="image/png")

    def huge(self, _):
        self.reply(body=self.web.large, kind="image/png")

    def page(self, _):
        self.reply(body=b"<!doctype html><p>Gone", kind="text/html; charset=utf-8")

    def disguised(self, _):
        self.reply(body=b"<!doctype html><p>Gone")

    def garbage(self, rest):
        self.reply(body=random.Random(rest).randbytes(2_000))

    def empty(self, _):
        self.reply()

    def loop(self, rest):
        self.reply(301, Location=f"/loop/{rest}")

    def to_private(self, rest):
        self.reply(302, Location=self.web.private(self.number(rest)).encode().decode("latin-1"))

    def to_file(self, rest):
        where = ("file:///etc/hostname", "data:image/png;base64,AAAA", "ftp://example.com/a.png")
        self.reply(302, Location=where[self.number(rest) % len(where)])

    def opted_out(self, rest):
        number = self.number(rest)
        self.reply(body=picture(number), **dict([OPT_OUTS[number % len(OPT_OUTS)]]))

    def closed(self, rest):
        raise AssertionError("robots.txt was not heeded")

    def log_message(self, *args): ...

    def handle(self):
        with contextlib.suppress(OSError):  # the client had enough
            super().handle()


def picture(number: int) -> bytes:
    """A small JPEG that no other number has."""
    file = io.BytesIO()
    colour = (number % 251, number // 251 % 251, 100)
    Image.new("RGB", (100, 70), colour).save(file, "JPEG", quality=90)
    return file.getvalue()


@contextlib.contextmanager
def served():
    """Have all sites up while the block runs."""
    servers = {site: _Server(site) for site in SITES}
    web = Web(servers)
    for server in servers.values():
        server.web = web
    with up(*servers.values()):
        yield web
