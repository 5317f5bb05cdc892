"""A site's robots.txt and a picture's headers are heeded."""

import contextlib
import http.server
import threading
import time
import urllib.request
from email.message import Message

import pytest

from stages.crawl.reasons import Refused
from stages.crawl.web.rights import opts_out
from stages.crawl.web.robots import MAX_DELAY_SECONDS, Rules
from tests.servers import up
from tests.stages.answers import web_opener

SITE = "http://a.org"
A_PICTURE = b"\xff\xd8\xff a picture"  # a JPEG by its first bytes


def allows(text, path, agent="dalle-ray"):
    return Rules.parse(text, agent).allow(SITE + path)


FOR_ALL = "User-agent: *\nDisallow: /private\nAllow: /private/but\n"


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/x", True),
        (FOR_ALL, "/x", True),
        (FOR_ALL, "/private/x", False),
        (FOR_ALL, "/private/but/x", True),  # the longer rule wins
        ("User-agent: *\nDisallow: /\nUser-agent: dalle-ray\nDisallow: /x\n", "/y", True),
        ("User-agent: *\nDisallow:\nUser-agent: DALLE-Ray/2.0\nDisallow: /\n", "/y", False),
        ("User-agent: other\nDisallow: /\n", "/y", True),
        ("User-agent: other\nUser-agent: dalle-ray\nDisallow: /\n", "/y", False),
        ("User-agent: dalle-ray\nUser-agent: other\nDisallow: /\n", "/y", False),
        ("User-agent: other\nDisallow: /\nUser-agent: dalle-ray\nAllow: /\n", "/y", True),
        ("User-agent: *\nDisallow: /x\n\nUser-agent: o\n\nUser-agent: *\nDisallow: /y\n", "/y", 0),
        ("User-agent: dalle\nDisallow: /\n", "/y", True),  # another robot
        ("User-agent: *\nDisallow: /*.gif$\n", "/a/b.gif", False),
        ("User-agent: *\nDisallow: /*.gif$\n", "/a/b.gif?x", True),
        ("User-agent: *\nDisallow: /a*b*c\n", "/axxbxxc/d", False),
        ("User-agent: *\nDisallow: /é\n", "/%C3%A9/x", False),
        ("user-agent:*\r\ndisallow:/x # why not\r\n", "/x/y", False),
        ("\ufeffUser-agent: *\nDisallow: /", "/", True),  # the mark is cut before
        ("<!doctype html><p>Not found", "/y", True),
    ],
)
def test_rules_are_read_as_rfc_9309_has_them(text, path, allowed):
    assert allows(text, path) == bool(allowed)


def test_a_delay_is_gone_along_with_within_reason():
    def delay(value):
        return Rules.parse(f"User-agent: *\nCrawl-delay: {value}\n", "dalle-ray").delay

    assert delay("2.5") == 2.5
    assert delay("86400") == MAX_DELAY_SECONDS
    assert [delay(odd) for odd in ("-1", "nan", "x", "")] == [0, 0, 0, 0]
    assert delay("inf") <= MAX_DELAY_SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"User-agent: a{n}\n" for n in range(17_000)) + "Disallow: /a\n" * 17_000,
        "User-agent: *\nDisallow: /" + "*a" * 5_000 + "*b\n" + "Disallow: /*a*b\n" * 20_000,
        "User-agent: *\n" * 35_000,
        "User-agent: dalle-ray" + "*" * 100 + "\n" + "x" * 400_000,
    ],
    ids=["many robots", "stars", "heads", "a long line"],
)
def test_a_hostile_file_costs_neither_time_nor_memory(text):
    started = time.process_time()
    rules = Rules.parse(text[: 500 * 1024], "dalle-ray")
    for _ in range(20):
        rules.allow(SITE + "/" + "a" * 2_000)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("headers", "out"),
    [
        ([], False),
        ([("X-Robots-Tag", "nofollow, nosnippet")], False),
        ([("X-Robots-Tag", "NoAI")], True),
        ([("X-Robots-Tag", "nofollow"), ("X-Robots-Tag", "noimageindex")], True),
        ([("X-Robots-Tag", "otherbot: noai, noindex")], False),
        ([("X-Robots-Tag", "dalle-ray: noml")], True),
        ([("X-Robots-Tag", "otherbot: noai, *: noindex")], True),
        ([("X-Robots-Tag", "unavailable_after: Wed, 25 Jun 2010 15:00:00 PST, noai")], True),
        ([("X-Robots-Tag", "max-image-preview: none")], False),
        ([("X-Robots-Tag", "none")], True),
        ([("TDM-Reservation", "1")], True),
        ([("TDM-Reservation", "0")], False),
    ],
)
def test_a_picture_opts_out_by_its_headers(headers, out):
    message = Message()
    for name, value in headers:
        message[name] = value
    assert bool(opts_out(message, "dalle-ray")) == out


class Site(http.server.ThreadingHTTPServer):
    """Answers every path with the same; its robots.txt is what a test says."""

    def __init__(self, robots, status=200, location=None):
        self.robots, self.status, self.location, self.seen = robots, status, location, []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def place(self):
        return f"127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, time.monotonic(), self.headers["User-Agent"]))
        about = self.path == "/robots.txt"
        body = self.server.robots if about else A_PICTURE
        leads = self.server.location if about else None
        if self.path.startswith("/to/"):
            leads = "http://" + self.path[4:]
        self.send_response(302 if leads else self.server.status if about else 200)
        if leads:
            self.send_header("Location", leads)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args): ...


@contextlib.contextmanager
def site(*args, **kwargs):
    server = Site(*args, **kwargs)
    with up(server):
        yield server


def get(opener, url):
    with opener.open(urllib.request.Request(url), None, 2.0) as reply:
        return reply.read()


def opener_for(*sites, **options):
    places = [server.place for server in sites]
    return web_opener(*places, respect_robots=True, timeout_seconds=0.5, **options)


def refused(opener, url):
    with pytest.raises(Refused) as caught:
        get(opener, url)
    return caught.value.reason


def test_robots_txt_is_read_once_and_heeded():
    with site(b"User-agent: *\nDisallow: /no\n") as server:
        opener = opener_for(server, contact="https://a.org/robot")
        for number in range(3):
            assert get(opener, f"http://{server.place}/yes/{number}") == A_PICTURE
            assert refused(opener, f"http://{server.place}/no/{number}") == "robots_txt"
        paths = [path for path, *_ in server.seen]
        assert paths == ["/robots.txt", "/yes/0", "/yes/1", "/yes/2"]
        agents = {agent for *_, agent in server.seen}
        assert agents == {"Mozilla/5.0 (compatible; dalle-ray; +https://a.org/robot)"}


def test_without_respect_it_is_not_even_asked_for():
    with site(b"User-agent: *\nDisallow: /\n") as server:
        opener = web_opener(server.place)
        assert get(opener, f"http://{server.place}/no") == A_PICTURE
        assert len(server.seen) == 1


def test_the_target_of_a_redirect_has_a_robots_txt_too():
    with site(b"User-agent: *\nDisallow: /no\n") as other, site(b"") as server:
        opener = opener_for(server, other)
        assert refused(opener, f"http://{server.place}/to/{other.place}/no") == "robots_txt"
        assert [path for path, *_ in other.seen] == ["/robots.txt"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, None), (404, None), (503, "robots_unreachable"), (500, "robots_unreachable")],
)
def test_no_file_allows_and_a_broken_server_forbids(status, reason):
    with site(b"User-agent: *\nDisallow: /\n", status) as server:
        opener = opener_for(server)
        if reason is None:
            assert get(opener, f"http://{server.place}/x") == A_PICTURE
        else:
            assert refused(opener, f"http://{server.place}/x") == reason
            assert refused(opener, f"http://{server.place}/y") == reason
            assert len(server.seen) == 1  # what it said is believed for a while


def test_redirects_of_the_file_are_followed_but_not_inwards():
    with site(b"User-agent: *\nDisallow: /no\n") as real, site(b"") as server:
        server.location = f"http://{real.place}/robots.txt"
        opener = opener_for(server, real)
        assert refused(opener, f"http://{server.place}/no") == "robots_txt"
        assert get(opener, f"http://{server.place}/yes") == A_PICTURE
        before = len(real.seen)
        assert refused(opener_for(server), f"http://{server.place}/yes") == "forbidden_address"
        assert len(real.seen) == before


def test_a_host_that_is_not_there_fails_with_its_own_reason():
    with site(b"") as server:
        place = server.place
    opener = web_opener(place, respect_robots=True)
    assert refused(opener, f"http://{place}/x") == "connection_failed"
    assert refused(web_opener(respect_robots=True), "http://10.0.0.1/x") == "forbidden_address"


def test_many_threads_ask_for_the_file_once():
    with site(b"User-agent: *\nCrawl-delay: 0.1\n") as server:
        opener = opener_for(server)
        threads = [
            threading.Thread(target=get, args=(opener, f"http://{server.place}/{n}"))
            for n in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        paths = sorted(path for path, *_ in server.seen)
        assert paths == [*(f"/{n}" for n in range(5)), "/robots.txt"]
        starts = sorted(at for path, at, _ in server.seen if path != "/robots.txt")
        assert starts[-1] - starts[0] > 0.25  # of four pauses, on a machine that may be busy
