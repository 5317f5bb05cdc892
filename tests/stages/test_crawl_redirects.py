"""A redirect is followed however it is written, and no spelling of an address leads inside."""

import pytest

from tests.stages.answers import PICTURE, answer, get, why_not

FOUND = "302 Found"


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
    start = server.url(answer(b"", FOUND, Location=location), path="/from")
    server.url(answer(PICTURE), path=asked)
    assert get(start, server.place) == PICTURE


@pytest.mark.parametrize(("hops", "reason"), [(5, None), (6, "too_many_redirects")])
def test_five_redirects_are_followed_and_no_more(server, hops, reason):
    url = server.url(answer(PICTURE))
    for _ in range(hops):
        url = server.url(answer(b"", FOUND, Location=url))
    assert (
        get(url, server.place) == PICTURE
        if reason is None
        else why_not(url, server.place) == reason
    )


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.2:1/", "forbidden_address"),
        ("http://0x7f.1/", "forbidden_address"),
        ("//localhost/", "forbidden_address"),
        ("http://[::1]/", "forbidden_address"),
        ("http://169.254.169.254/latest/meta-data", "forbidden_address"),
        ("file:///etc/hostname", "forbidden_address"),
        ("ftp://example.com/x.jpg", "forbidden_address"),
        ("data:image/png;base64,AAAA", "forbidden_address"),
        ("http://a@127.0.0.1/", "bad_url"),
        ("http://[/", "bad_url"),
        ("http://a.example:99999/", "bad_url"),
    ],
)
def test_a_redirect_leads_to_the_web_only(server, location, reason):
    assert why_not(server.url(answer(b"", FOUND, Location=location)), server.place) == reason


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        *((host, "forbidden_address") for host in (
            "127.0.0.1", "localhost", "LOCALHOST", "0", "0.0.0.0", "0x7f.1", "0x7F.0x0.0x0.0x1",
            "0177.0.0.01", "017700000001", "127.0.1", "2130706433", "[::1]", "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[fe80::1%lo]",
            "\t127.0.0.1", "127.0.0.1\n")),
        *((host, "bad_url") for host in (
            "u:p@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1",
            "127.0.0.1 ", "", "127.0.0.1%2f@example.com", "3fff::1", "a" * 70 + ".invalid",
            "a..invalid")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_spelling_of_an_address_leads_inside(server, scheme, host, reason):
    """Nor does what is allowed: one host on one port, not the machine."""
    before = len(server.seen)
    url = f"{scheme}://{host}:{server.place.partition(':')[2]}/x.jpg"
    assert why_not(url, "127.0.0.1:1") == reason
    assert len(server.seen) == before


@pytest.mark.parametrize("url", ["file:///etc/hostname", "data:image/png;base64,AAAA", "abc", ""])
def test_what_is_no_web_address_is_a_bad_url(url):
    assert why_not(url) == "bad_url"
