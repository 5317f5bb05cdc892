"""A redirect is followed however it is written, and no spelling of an address leads inside."""

import urllib.request

import pytest

from stages.crawl.reasons import Refused, reason_of
from tests.stages.answers import PICTURE, answer, fetched, web_opener


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("x.jpg", "/x.jpg"),
        ("../a/./x.jpg", "/a/x.jpg"),
        ("?size=big", "/from?size=big"),
        ("/a b.jpg", "/a%20b.jpg"),
        ("/a\tb.jpg", "/ab.jpg"),
        ("/caf\xe9.jpg", "/caf%E9.jpg"),
        ("/é.jpg".encode().decode("latin-1"), "/%C3%A9.jpg"),
        ("/x.jpg#part", "/x.jpg"),
        ("http:/x.jpg", "/x.jpg"),
    ],
)
def test_a_redirect_is_followed_wherever_it_leads(server, location, asked):
    start = server.url(answer(b"", "302 Found", Location=location), path="/from")
    server.url(answer(PICTURE), path=asked)
    own = web_opener(server.place)
    assert own.open(urllib.request.Request(start), None, 10.0).read() == PICTURE


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.2:1/", "forbidden_address"),
        ("http://0x7f.1/", "forbidden_address"),
        ("//localhost/", "forbidden_address"),
        ("http://[::1]/", "forbidden_address"),
        ("ftp://example.com/x.jpg", "forbidden_address"),
        ("data:image/png;base64,AAAA", "forbidden_address"),
        ("http://a@127.0.0.1/", "bad_url"),
        ("http://[/", "bad_url"),
        ("http://a.example:99999/", "bad_url"),
    ],
)
def test_a_redirect_leads_to_the_web_only(server, location, reason):
    with pytest.raises(Refused) as caught:
        fetched(server, answer(b"", "302 Found", Location=location))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        *((host, "forbidden_address") for host in (
            "LOCALHOST", "0", "0x7f.1", "0x7F.0x0.0x0.0x1", "0177.0.0.01", "017700000001",
            "127.0.1", "2130706433", "[0:0:0:0:0:0:0:1]", "[::ffff:7f00:1]",
            "[::ffff:169.254.169.254]", "[fe80::1%lo]", "\t127.0.0.1", "127.0.0.1\n")),
        *((host, "bad_url") for host in (
            "u:p@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1",
            "127.0.0.1 ", "", "127.0.0.1%2f@example.com", "3fff::1", "a" * 70 + ".invalid",
            "a..invalid")),
    ],
)  # fmt: skip
def test_no_spelling_of_an_address_leads_inside(host, reason):
    own = web_opener()
    with pytest.raises((Refused, ValueError)) as caught:
        own.open(urllib.request.Request(f"http://{host}/x.jpg"), None, 2.0)
    assert reason_of(str(caught.value)) == reason
