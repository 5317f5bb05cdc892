"""Nothing that strangers answer lasts for ever, and it is tried again only where that may help."""

import datetime
import email.utils
import http.client
import ipaddress
import socket
import ssl
import time
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stages.crawl.reasons import Refused, reason_of, refusal
from tests.stages.answers import (
    PICTURE,
    Drip,
    Turns,
    answer,
    answering,
    fetch,
    get,
    opener,
    why_not,
)

DRIPS = {"body": Drip(answer(length=False)), "headers": Drip()}
BUSY, GOOD = answer(status="503 Busy"), answer(PICTURE)


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


@pytest.mark.parametrize("part", DRIPS)
def test_one_deadline_covers_headers_and_body(server, part):
    started = time.monotonic()
    assert why_not(server.url(of=DRIPS[part]), server.place, seconds=0.5) == "timeout"
    assert time.monotonic() - started < 1.5


def test_the_body_of_a_redirect_is_not_waited_for(server):
    moved = answer(status="302 Found", length=False, Location=server.url(GOOD))
    started = time.monotonic()
    assert get(server.url(of=Drip(moved)), server.place) == PICTURE
    assert time.monotonic() - started < 1


def test_only_what_may_pass_is_tried_again(server):
    assert get(server.url(of=Turns(BUSY, GOOD)), server.place, retries=1) == PICTURE
    missing = server.url(answer(status="404 Not Found"))
    assert why_not(missing, server.place, retries=3) == "http_404"
    assert server.times(missing) == 1


def in_two_seconds():
    return email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + timedelta(seconds=2))


def test_who_is_asked_to_come_later_does(server):
    """A date has whole seconds only, so "in two" may be in little more than one."""
    for wait, least in ((lambda: "1", 1.0), (in_two_seconds, 0.8)):
        started = time.monotonic()
        later = answer(status="429 Later", Retry_After=wait())
        assert get(server.url(of=Turns(later, GOOD)), server.place, retries=1) == PICTURE
        assert least <= time.monotonic() - started < 3


def test_who_is_asked_to_stay_away_for_long_does_not_come_again(server):
    own, before = opener(server.place, retries=3), len(server.seen)
    for sent in (answer(status="429 Never", Retry_After="86400"), GOOD, GOOD):
        with pytest.raises(Refused, match=r"^http_429: "):
            fetch(own, server.url(sent))
    assert len(server.seen) == before + 1


def test_tries_are_further_and_further_apart(server):
    url, started = server.url(BUSY), time.monotonic()
    assert why_not(url, server.place, retries=2) == "http_503"
    assert server.times(url) == 3
    assert 1.5 <= time.monotonic() - started < 3  # half a second, then a whole one


def test_a_timeout_is_tried_again_but_not_for_ever(server):
    started = time.monotonic()
    url = server.url(of=DRIPS["body"])
    assert why_not(url, server.place, retries=1, seconds=0.4) == "timeout"
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
    with answering(tls=context) as server:

        def url(*sent, of=None):
            return server.url(*sent, of=of).replace("http:", "https:")

        assert why_not(url(GOOD), server.place) == "tls_failed"  # unknown signer
        own = opener(server.place)
        own.network.tls.load_verify_locations(certificate)
        assert fetch(own, url(GOOD)) == PICTURE
        assert fetch(own, url(answer(status="302 Found", Location=url(GOOD)))) == PICTURE
        started = time.monotonic()
        for drip in DRIPS.values():
            with pytest.raises(Refused, match=r"^timeout: "):
                fetch(own, url(of=drip), 0.7)
        assert time.monotonic() - started < 3
        with pytest.raises(Refused, match="forbidden_address"):
            fetch(own, url(answer(status="302 Found", Location="https://localhost/")))
