"""A site's robots.txt and a picture's headers are heeded."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from email.message import Message

import pytest

from stages.crawl.reasons import Refused
from stages.crawl.web.rights import opts_out
from stages.crawl.web.robots import MAX_DELAY_SECONDS, Rules
from tests.stages.answers import PICTURE, answer, answering, fetch, opener, why_not

SITE = "http://a.org"


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


@contextlib.contextmanager
def site(rules, status="200 OK", **headers):
    """Answer every path with a picture; its robots.txt is what a test says."""
    with answering(answer(PICTURE)) as server:
        server.url(answer(rules.encode(), status, "text/plain", **headers), path="/robots.txt")
        yield server


def opener_for(*sites, **options):
    places = [server.place for server in sites]
    return opener(*places, respect_robots=True, timeout_seconds=0.5, **options)


def refused(own, server, path):
    with pytest.raises(Refused) as caught:
        fetch(own, f"http://{server.place}{path}")
    return caught.value.reason


NOT_NO, NOTHING = "User-agent: *\nDisallow: /no\n", "User-agent: *\nDisallow: /\n"


def test_robots_txt_is_read_once_and_heeded():
    with site(NOT_NO) as server:
        own = opener_for(server, contact="https://a.org/robot")
        for number in range(3):
            assert fetch(own, f"http://{server.place}/yes/{number}") == PICTURE
            assert refused(own, server, f"/no/{number}") == "robots_txt"
        assert server.seen == ["/robots.txt", "/yes/0", "/yes/1", "/yes/2"]
        agent = "User-Agent: Mozilla/5.0 (compatible; dalle-ray; +https://a.org/robot)\r\n"
        assert all(agent in head for *_, head in server.asked)


def test_without_respect_it_is_not_even_asked_for():
    with site(NOTHING) as server:
        assert fetch(opener(server.place), f"http://{server.place}/no") == PICTURE
        assert server.seen == ["/no"]


def test_the_target_of_a_redirect_has_a_robots_txt_too():
    with site(NOT_NO) as other, site("") as server:
        to = f"http://{other.place}/no"
        server.url(answer(status="302 Found", Location=to), path="/to")
        assert refused(opener_for(server, other), server, "/to") == "robots_txt"
        assert other.seen == ["/robots.txt"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, None), (404, None), (503, "robots_unreachable"), (500, "robots_unreachable")],
)
def test_no_file_allows_and_a_broken_server_forbids(status, reason):
    with site(NOTHING, f"{status} Odd") as server:
        own = opener_for(server)
        if reason is None:
            assert fetch(own, f"http://{server.place}/x") == PICTURE
        else:
            assert [refused(own, server, path) for path in ("/x", "/y")] == [reason] * 2
            assert len(server.seen) == 1  # what it said is believed for a while


def test_redirects_of_the_file_are_followed_but_not_inwards():
    with (
        site(NOT_NO) as real,
        site("", "302 Found", Location=f"http://{real.place}/robots.txt") as server,
    ):
        own = opener_for(server, real)
        assert refused(own, server, "/no") == "robots_txt"
        assert fetch(own, f"http://{server.place}/yes") == PICTURE
        before = len(real.seen)
        assert refused(opener_for(server), server, "/yes") == "forbidden_address"
        assert len(real.seen) == before


def test_a_host_that_is_not_there_fails_with_its_own_reason():
    with site("") as server:
        place = server.place
    assert why_not(f"http://{place}/x", place, respect_robots=True) == "connection_failed"
    assert why_not("http://10.0.0.1/x", respect_robots=True) == "forbidden_address"


def test_many_threads_ask_for_the_file_once():
    with site("User-agent: *\nCrawl-delay: 0.1\n") as server:
        own = opener_for(server)
        with ThreadPoolExecutor(5) as threads:
            list(threads.map(lambda n: fetch(own, f"http://{server.place}/{n}"), range(5)))
        assert sorted(server.seen) == [*(f"/{n}" for n in range(5)), "/robots.txt"]
        starts = sorted(at for path, at, _ in server.asked if path != "/robots.txt")
        assert starts[-1] - starts[0] > 0.25  # of four pauses, on a machine that may be busy
