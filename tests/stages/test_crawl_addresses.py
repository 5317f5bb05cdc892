"""Public addresses are told from all others, and urls are written as the web wants them."""

import socket
import threading
import time

import pytest

from stages.crawl.reasons import Refused
from stages.crawl.web.addresses import is_public, joined, parse, safe_url
from stages.crawl.web.connections import Deadline, Network

PUBLIC = (
    "93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34",
    "64:ff9b::93.184.216.34", "2002:5db8:d822::1",
)  # fmt: skip
NOT_PUBLIC = (
    "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255",
    "168.63.129.16",  # the host agent of Azure
    "::", "::1", "fe80::1%eth0", "fec0::1", "fd00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
    "2002:0a00:0001::", "2002:7f00:1::",  # 6to4 of 10.0.0.1 and 127.0.0.1
    "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1",  # NAT64
    "3fff::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe",  # Teredo of 10.0.0.1
)  # fmt: skip


@pytest.mark.parametrize("ip", PUBLIC + NOT_PUBLIC)
def test_an_address_of_the_internet_is_public_and_no_other(ip):
    assert is_public(ip) == (ip in PUBLIC)


def test_an_address_is_taken_apart():
    address = parse("HTTPS://Example.COM/a%20b?x=1#part")
    assert address == ("https", "example.com", 443, "/a%20b?x=1")
    assert parse("http://[2606:2800::1]:81").origin == "http://[2606:2800::1]:81"
    assert parse("http://a.org?x").target == "/?x"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hostname", "data:image/png;base64,AAAA", "ftp://a.org/a.png", "abc", "",
     "//a.org", "http://", "http:///a", "http://exa mple.com/", "http://a.org:port/", "http://a.org:99999/",
     "http://[::1/", "http://user@a.org/", "http://a.org\\@127.0.0.1/"],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_a_bad_url(url):
    with pytest.raises(Refused, match=r"^bad_url: "):
        parse(url)


@pytest.mark.parametrize(
    ("url", "written"),
    [
        (" http://a.org/a b/é.jpg?x=ü&y=1#top ", "http://a.org/a%20b/%C3%A9.jpg?x=%C3%BC&y=1"),
        ("http://bücher.example:81/x", "http://xn--bcher-kva.example:81/x"),
        ("http://Bücher.EXAMPLE/", "http://xn--bcher-kva.example/"),
        ("http://straße.example/", "http://xn--strae-oqa.example/"),  # not strasse: another site
        ("http://ドメイン.example/図.png", "http://xn--eckwd4c7c.example/%E5%9B%B3.png"),
        ("http://i❤.example/", "http://xn--i-7iq.example/"),
        ("http://a.org/a%20b%2Fc.jpg", "http://a.org/a%20b%2Fc.jpg"),
        ("http://a.org/100%", "http://a.org/100%"),
        ('http://a.org/"<x>".jpg', "http://a.org/%22%3Cx%3E%22.jpg"),
        ("http://[::1/", "http://[::1/"),
        ("http://a.org/\ud800.jpg", "http://a.org/?.jpg"),  # broken text, no crash
    ],
)
def test_urls_are_written_the_way_the_web_wants_them(url, written):
    assert safe_url(url) == written


def test_a_redirect_leads_where_its_bytes_say():
    def latin(text, encoding="utf-8"):
        return text.encode(encoding).decode("latin-1")

    assert joined("http://a.org/b/c", "d.jpg") == "http://a.org/b/d.jpg"
    assert joined("http://a.org/b", "//c.org/d e.jpg") == "http://c.org/d%20e.jpg"
    assert joined("http://a.org/", latin("/é.jpg")) == "http://a.org/%C3%A9.jpg"
    assert joined("http://a.org/", latin("/é.jpg", "latin-1")) == "http://a.org/%E9.jpg"
    assert joined("http://a.org/", latin("http://bücher.example/")) == (
        "http://xn--bcher-kva.example/"
    )


def answers(*ips):
    def resolve(host, port, **options):
        return [found for ip in ips for found in socket.getaddrinfo(ip, port, **options)]

    return resolve


@pytest.mark.parametrize("ips", [("8.8.8.8", "10.0.0.1"), ("10.0.0.1", "8.8.8.8"), ("::1",)])
def test_a_name_with_one_address_inside_is_refused_whole(ips):
    network = Network(resolve=answers(*ips))
    with pytest.raises(Refused, match=r"^forbidden_address: .* not public"):
        network.open_socket(parse("http://two.example/"), Deadline(2.0))


def test_a_name_is_looked_up_once_so_it_cannot_be_re_pointed_in_between():
    asked = []

    def counting(host, port, **options):
        asked.append(host)
        return socket.getaddrinfo("127.0.0.1", port, **options)

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://one.example:{server.getsockname()[1]}/"
        network = Network([parse(url).place], counting)
        network.open_socket(parse(url), Deadline(2.0)).close()
    assert asked == ["one.example"]


def test_a_listed_host_may_be_said_to_be_elsewhere():
    def never(host, port, **options):
        raise AssertionError("nobody knows that name")

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        network = Network([f"world.test:80=127.0.0.1:{port}"], never)
        with network.open_socket(parse("http://World.test/a.png"), Deadline(2.0)) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
        # The address itself is not listed, nor is another port of the host.
        with pytest.raises(Refused, match=r"^forbidden_address: "):
            network.open_socket(parse(f"http://127.0.0.1:{port}/"), Deadline(2.0))
        network.resolve = answers("127.0.0.1")
        with pytest.raises(Refused, match=r"^forbidden_address: "):
            network.open_socket(parse(f"http://world.test:{port}/"), Deadline(2.0))


def test_a_resolver_that_hangs_holds_nobody_beyond_the_deadline():
    released = threading.Event()

    def hangs(host, port, **options):
        released.wait(20)
        return []

    network = Network(resolve=hangs)
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            network.open_socket(parse("http://slow.example/"), Deadline(0.2))
    assert time.monotonic() - started < 1.5
    released.set()


def test_an_address_that_swallows_everything_leaves_time_for_the_next():
    with socket.socket() as full, socket.socket() as good:
        full.bind(("127.0.0.2", 0))
        port = full.getsockname()[1]
        full.listen(0)
        good.bind(("127.0.0.1", port))
        good.listen(5)
        crowd = [socket.socket() for _ in range(4)]  # whoever comes after these is not answered
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.2", port))
        network = Network([f"two.example:{port}"], answers("127.0.0.2", "127.0.0.1"))
        with network.open_socket(parse(f"http://two.example:{port}/"), Deadline(2.0)) as sock:
            assert sock.getpeername()[0] == "127.0.0.1"
        for sock in crowd:
            sock.close()


def test_when_the_time_is_over_no_address_is_tried_any_more():
    network = Network(["two.example:9"], answers("127.0.0.1", "127.0.0.2"))
    late = Deadline(5.0)

    def slow(host, port, **options):
        late.at = 0
        return answers("127.0.0.1", "127.0.0.2")(host, port, **options)

    network.resolve = slow
    with pytest.raises(TimeoutError):
        network.open_socket(parse("http://two.example:9/"), late)
