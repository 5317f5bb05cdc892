"""Strangers' urls reach public addresses only, and nothing they answer lasts or grows for ever."""

import contextlib
import datetime
import email.utils
import http.client
import ipaddress
import socket
import ssl
import time
import urllib.request
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stages.crawl.reasons import Refused, reason_of, refusal
from tests.servers import up
from tests.stages.answers import web_opener

PICTURE = b"\xff\xd8\xff" + b"picture " * 1_000  # a JPEG by its first bytes


class Server(BaseHTTPRequestHandler):
    """Answers by the first part of the path."""

    seen: list[str] = []  # noqa: RUF012 - one list for all requests, on purpose

    def do_GET(self):
        self.seen.append(self.path)
        kind, _, rest = self.path.strip("/").partition("/")
        getattr(self, kind)(rest)

    def reply(self, status=200, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def fine(self, _):
        self.reply(body=PICTURE, Content_Type="image/png")

    def untyped(self, _):
        self.reply(body=PICTURE)

    def page(self, _):
        self.reply(body=b"<html>", Content_Type="text/html; charset=utf-8")

    def announced(self, _):
        self.reply(Content_Length="1000000", Content_Type="image/png")

    def endless(self, _):
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        for _ in range(1_000):
            self.wfile.write(PICTURE)

    def cut(self, _):
        self.reply(body=PICTURE[:10], Content_Length="8000", Content_Type="image/png")

    def drip(self, _):
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"x")
            time.sleep(0.1)

    def drip_headers(self, _):
        for _ in range(100):
            self.wfile.write(b"HTTP/1.1 200 OK\r\n"[:1])
            time.sleep(0.1)

    def to(self, rest):
        self.reply(302, Location=rest if "://" in rest else f"/{rest}")

    def to_slowly(self, _):
        self.send_response(302)
        self.send_header("Location", "/fine")
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"x" * 1_000)
            time.sleep(0.1)

    def loop(self, _):
        self.reply(302, Location="/loop")

    def hops(self, count):
        self.reply(302, Location=f"/hops/{int(count) - 1}" if int(count) > 1 else "/fine")

    def busy(self, after):
        again = self.seen.count(self.path) >= int(after)
        self.reply(200 if again else 503, PICTURE if again else b"", Content_Type="image/png")

    def later(self, wait):
        first = self.seen.count(self.path) == 1
        self.reply(*((429,) if first else (200, PICTURE)), Retry_After=unquote(wait))

    def never(self, wait):
        self.reply(429, Retry_After=wait)

    def missing(self, _):
        self.reply(404)

    def log_message(self, *args):
        pass

    def handle(self):
        with contextlib.suppress(OSError):  # the client had enough
            super().handle()


@contextlib.contextmanager
def running(tls=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with up(server):
        yield f"127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def address():
    with running() as at:
        yield at


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a key and a certificate that it signed for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(key.private_bytes(pem, pkcs8, plain) + signed.public_bytes(pem))
    return file


def get(url, *, allow=(), timeout=2.0, **options):
    request = urllib.request.Request(url)
    with web_opener(*allow, **options).open(request, None, timeout) as reply:
        return reply.read()


def reason(url, **options):
    with pytest.raises((Refused, ValueError)) as caught:  # urllib itself refuses what is no url
        get(url, **options)
    return reason_of(str(caught.value))


def test_an_allowed_server_is_read_to_the_end(address):
    for path in ("fine", "untyped", "to/fine", "hops/5"):
        assert get(f"http://{address}/{path}", allow=(address,)) == PICTURE


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("page", "not_an_image"),
        ("announced", "too_large"),
        ("endless", "too_large"),
        ("cut", "connection_failed"),
        ("missing", "http_404"),
        ("loop", "too_many_redirects"),
        ("hops/6", "too_many_redirects"),
        ("to/file:///etc/hostname", "forbidden_address"),
        ("to/http://169.254.169.254/latest/meta-data", "forbidden_address"),
        ("to/http://localhost:1/", "forbidden_address"),
    ],
)
def test_what_a_server_may_not_do_has_a_reason(address, path, expected):
    assert reason(f"http://{address}/{path}", allow=(address,)) == expected


@pytest.mark.parametrize("path", ["fine", "untyped", "endless", "cut", "drip", "page", "to/fine"])
def test_only_what_was_handed_out_stays_in_the_budget(address, path):
    own, held = web_opener(address), 0
    with contextlib.suppress(Refused):
        reply = own.open(urllib.request.Request(f"http://{address}/{path}"), None, 0.5)
        held = len(reply.read())
    assert own.budget.held == held


@pytest.mark.parametrize("path", ["drip", "drip_headers"])
def test_one_deadline_covers_headers_and_body(address, path):
    started = time.monotonic()
    assert reason(f"http://{address}/{path}", allow=(address,), timeout=0.5) == "timeout"
    assert time.monotonic() - started < 1.5


def test_the_body_of_a_redirect_is_not_waited_for(address):
    started = time.monotonic()
    assert get(f"http://{address}/to_slowly", allow=(address,)) == PICTURE
    assert time.monotonic() - started < 1


def test_only_what_may_pass_is_tried_again(address):
    assert get(f"http://{address}/busy/2", allow=(address,), retries=1) == PICTURE
    assert reason(f"http://{address}/busy/9", allow=(address,), retries=1) == "http_503"
    before = Server.seen.count("/missing")
    assert reason(f"http://{address}/missing", allow=(address,), retries=3) == "http_404"
    assert Server.seen.count("/missing") == before + 1


def in_two_seconds():
    return email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + timedelta(seconds=2))


def test_who_is_asked_to_come_later_does(address):
    """A date has whole seconds only, so "in two" may be in little more than one."""
    for wait, least in ((lambda: "1", 1.0), (in_two_seconds, 0.8)):
        started = time.monotonic()
        url = f"http://{address}/later/{quote(wait())}"
        assert get(url, allow=(address,), retries=1) == PICTURE
        assert least <= time.monotonic() - started < 3


def test_who_is_asked_to_stay_away_for_long_does_not_come_again(address):
    own = web_opener(address, retries=3)
    before = len(Server.seen)
    for path in ("never/86400", "fine", "fine"):
        with pytest.raises(Refused, match=r"^http_429: "):
            own.open(urllib.request.Request(f"http://{address}/{path}"), None, 2.0)
    assert len(Server.seen) == before + 1


def test_tries_are_further_and_further_apart(address):
    before, started = Server.seen.count("/busy/99"), time.monotonic()
    assert reason(f"http://{address}/busy/99", allow=(address,), retries=2) == "http_503"
    assert Server.seen.count("/busy/99") == before + 3
    assert 1.5 <= time.monotonic() - started < 3  # half a second, then a whole one


def test_a_timeout_is_tried_again_but_not_for_ever(address):
    started = time.monotonic()
    url = f"http://{address}/drip"
    assert reason(url, allow=(address,), retries=1, timeout=0.4) == "timeout"
    assert 1.3 <= time.monotonic() - started < 2.5


@pytest.mark.parametrize(
    ("error", "expected", "heals"),
    [
        (TimeoutError("timed out"), "timeout", True),
        (ConnectionResetError(104, "reset"), "connection_failed", True),
        (http.client.RemoteDisconnected("gone"), "connection_failed", True),
        (http.client.IncompleteRead(b""), "connection_failed", True),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), "connection_failed", True),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "host_unknown", False),
        (ssl.SSLCertVerificationError("self-signed"), "tls_failed", False),
        (ssl.SSLEOFError("cut off"), "connection_failed", True),
        (UnicodeEncodeError("ascii", "é", 0, 1, "no"), "bad_url", False),
    ],
)
def test_what_went_wrong_has_a_name_and_may_heal_or_not(error, expected, heals):
    found = refusal(error)
    assert (found.reason, found.again) == (expected, heals)
    assert reason_of(str(found)) == expected


def test_the_same_holds_behind_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with running(context) as at:
        assert reason(f"https://{at}/fine", allow=(at,)) == "tls_failed"  # unknown signer

        def trusting(url):
            own = web_opener(at)
            own.network.tls.load_verify_locations(certificate)
            with own.open(urllib.request.Request(url), None, 0.7) as reply:
                return reply.read()

        assert trusting(f"https://{at}/fine") == PICTURE
        assert trusting(f"https://{at}/to/fine") == PICTURE
        started = time.monotonic()
        for path in ("drip", "drip_headers"):
            with pytest.raises(Refused, match=r"^timeout: "):
                trusting(f"https://{at}/{path}")
        assert time.monotonic() - started < 3
        with pytest.raises(Refused, match="forbidden_address"):
            trusting(f"https://{at}/to/https://localhost/")


def test_a_private_server_is_refused_under_all_its_names(address):
    port = address.partition(":")[2]
    before = len(Server.seen)
    for host in ("127.0.0.1", "localhost", "2130706433", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"):
        assert reason(f"http://{host}:{port}/fine") == "forbidden_address", host
    # allowed is one host on one port, not the machine
    assert reason(f"http://127.0.0.1:{port}/fine", allow=("127.0.0.1:1",)) == "forbidden_address"
    assert reason(f"https://127.0.0.1:{port}/fine") == "forbidden_address"
    assert len(Server.seen) == before


def test_a_name_is_judged_by_the_address_that_is_then_used(address):
    port = int(address.partition(":")[2])

    def rebound(host, port, **options):
        return socket.getaddrinfo("127.0.0.1", port, **options)

    assert reason(f"http://example.com:{port}/fine", resolve=rebound) == "forbidden_address"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "data:image/png;base64,AAAA", "abc", ""])
def test_what_is_no_web_address_is_a_bad_url(url):
    assert reason(url) == "bad_url"
