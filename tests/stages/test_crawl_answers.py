"""Servers answer in every way that there is: a picture is kept, or the reason says what came."""

import tracemalloc

import pytest

from stages.crawl.reasons import Refused
from tests.stages import test_crawl_encodings as encodings
from tests.stages.answers import (
    CAP,
    CHUNKED,
    HALF,
    PAGE,
    PICTURE,
    answer,
    chunks,
    fetched,
    refusal_of,
)

OF_770 = {"length": False, "Content_Length": "770"}
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def interim(status, count=1):
    return f"HTTP/1.1 {status}\r\nLink: </x.css>; rel=preload\r\n\r\n".encode() * count + answer(
        PICTURE
    )


KEPT = {
    "100 Continue": interim("100 Continue"),
    "102 Processing": interim("102 Processing"),
    "103 Early Hints": interim("103 Early Hints"),
    "five hints": interim("103 Early Hints", 5),
    "203": answer(PICTURE, "203 Non-Authoritative Information"),
    "206 of all": answer(
        PICTURE, "206 Partial Content", Content_Range=f"bytes 0-{len(PICTURE) - 1}/{len(PICTURE)}"
    ),
    "206 without a range": answer(PICTURE, "206 Partial Content"),
    "HTTP/1.0": answer(PICTURE).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a status line without words": answer(PICTURE, "200"),
    "lines that end in LF": answer(PICTURE).replace(b"\r\n", b"\n", 4),
    "odd letters in names": answer(PICTURE).replace(b"Content-", b"cOnTeNt-"),
    "a folded header": answer(PICTURE).replace(b"Type: ", b"Type:\r\n  "),
    "Latin letters in a header": answer(
        PICTURE, Content_Disposition="inline; filename=caf\xe9.jpg"
    ),
    "a line that is no header": answer(PICTURE).replace(b"Content-T", b"garbage here\r\nContent-T"),
    "NUL in a header": answer(PICTURE, kind="image/jpeg\0"),
    "ninety headers": answer(PICTURE, **{f"X_{number}": "v" for number in range(90)}),
    "two lengths": answer(PICTURE, Content_length=str(len(PICTURE))),
    "two lengths in one line": answer(
        PICTURE, length=False, Content_Length=f"{len(PICTURE)}, {len(PICTURE)}"
    ),
    "a negative length": answer(PICTURE, length=False, Content_Length="-5"),
    "a length in words": answer(PICTURE, length=False, Content_Length="many"),
    "no length": answer(PICTURE, length=False),
    "more than the length": answer(
        PICTURE + b"more", length=False, Content_Length=str(len(PICTURE))
    ),
    "chunks": answer(chunks(PICTURE[:HALF], PICTURE[HALF:]), **CHUNKED),
    "chunks with extensions": answer(
        b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(PICTURE), PICTURE), **CHUNKED
    ),
    "chunks with trailers": answer(chunks(PICTURE, end=b"0\r\nX-Sum: 1\r\n\r\n"), **CHUNKED),
    "chunks and a length": answer(chunks(PICTURE), Content_Length="5", **CHUNKED),
    **encodings.KEPT,
}
# The type and body of a good answer -> what is said of a body that is no picture.
NO_PICTURE = {
    "a page": ("text/html; charset=utf-8", PAGE, "'Just a moment...'"),
    "a page that says it is a picture": ("image/jpeg", PAGE, "'Just a moment...'"),
    "a login": (
        "text/html",
        b"\n<html><body><h1>Log in</h1><p>to see this",
        "'Log in to see this'",
    ),
    "JSON": (
        "application/json",
        b'{"error": "not allowed", "id": 12345}',
        '\'{"error": "not allowed", "id": #\'',
    ),
    "SVG": (
        "image/svg+xml",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "an SVG picture, which is not read",
    ),
    "a film": (
        "video/mp4",
        b"\0\0\0\x18ftypisom" + bytes(99),
        "a video (MP4 or MOV), which is not read",
    ),
    "HEIC": ("image/heic", HEIC, "a HEIC or HEIF picture, which is not read"),
    "HEIC as text": ("text/plain", HEIC, "a HEIC or HEIF picture, which is not read"),
    "PDF": ("image/jpeg", b"%PDF-1.4\n\0", "a PDF file, which is not read"),
    "noise": ("image/jpeg", b"\x8f\x3a\x01", "bytes 8f 3a 01"),
    "a film of JPEGs": (
        "multipart/x-mixed-replace; boundary=",
        b"--\r\n\r\n" + PICTURE,
        "bytes 2d 2d 0d 0a 0d 0a ff d8 ff e0 00 10",
    ),
    "no bytes": ("image/jpeg", b"", "an empty answer"),
}
# An answer that breaks off or is none of HTTP's -> what is said of the connection.
BROKEN = {
    "hints without end": (
        interim("103 Early Hints", 99),
        "HTTPException: more than 16 interim answers (1xx)",
    ),
    "continue without end": (
        interim("100 Continue", 99),
        "HTTPException: more than 16 interim answers (1xx)",
    ),
    "hints and nothing else": (interim("103 Early Hints")[:64], ""),
    "HTTP/0.9": (PICTURE, "BadStatusLine: "),
    "ICY": (answer(PICTURE).replace(b"HTTP/1.1", b"ICY"), "BadStatusLine: ICY 200 OK"),
    "HTTP/2": (answer(PICTURE).replace(b"HTTP/1.1", b"HTTP/2"), "UnknownProtocol: HTTP/2"),
    "a status in letters": (answer(PICTURE, "abc"), "BadStatusLine: HTTP/1.1 abc"),
    "nothing": (b"", "RemoteDisconnected: "),
    "an endless line": (b"x" * 99_000, "LineTooLong: "),
    "a thousand headers": (
        answer(PICTURE, **{f"X_{number}": "v" for number in range(1_000)}),
        "HTTPException: got more than 100 headers",
    ),
    "a long header": (answer(PICTURE, X="v" * 70_000), "LineTooLong: "),
    "closed early": (answer(PICTURE[:100], **OF_770), "closed after 100 of 770 bytes"),
    "closed at once": (answer(b"", **OF_770), "closed after 0 of 770 bytes"),
    "closed after letters": (answer(b"GIF", **OF_770), "closed after 3 of 770 bytes"),
    "closed in the head": (answer(PICTURE)[:30], "closed before a length or a body came"),
    "closed behind the head": (
        answer(b"", length=False),
        "closed before a length or a body came",
    ),
    "closed before the last chunk": (
        answer(chunks(PICTURE[:100], end=b""), **CHUNKED),
        "closed in or before a chunk, after 100 bytes",
    ),
    "a chunk of odd size": (
        answer(b"zz\r\n" + PICTURE, **CHUNKED),
        "closed in or before a chunk, after 0 bytes",
    ),
    "a chunk of -1 bytes": (
        answer(b"-1\r\n" + PICTURE, **CHUNKED),
        "closed in or before a chunk, after 0 bytes",
    ),
}
REFUSED = {
    "announced": (
        answer(length=False, Content_Length="1000000"),
        "too_large: 1000000 bytes announced",
    ),
    "endless": (answer(PICTURE + bytes(CAP), length=False), "too_large: more than 100000 bytes"),
    **{
        name: (answer(body, kind=kind), f"not_an_image: 200 OK, {kind.partition(';')[0]}: {said}")
        for name, (kind, body, said) in NO_PICTURE.items()
    },
    **{name: (sent, f"connection_failed: {said}") for name, (sent, said) in BROKEN.items()},
    "a page that leads on": (
        answer(b"<p>", kind="text/html", Refresh="0; url=/x.jpg"),
        "not_an_image: 200 OK, text/html, Refresh: 0; url=/x.jpg: "
        "a web page (HTML), which is not read",
    ),
    "chunks of nothing": (
        answer(chunks(), **CHUNKED),
        "not_an_image: 200 OK, image/jpeg: an empty answer",
    ),
    "101": (
        answer(status="101 Switching Protocols", Upgrade="h2c"),
        "http_101: Switching Protocols",
    ),
    "202": (
        answer(b"come back", "202 Accepted", "text/plain"),
        "not_an_image: 202 Accepted, text/plain: 'come back'",
    ),
    "204": (
        answer(b"", "204 No Content", None, length=False),
        "not_an_image: 204 No Content, no content type: an empty answer",
    ),
    "205": (
        answer(b"", "205 Reset Content", None),
        "not_an_image: 205 Reset Content, no content type: an empty answer",
    ),
    "206 of a part": (
        answer(PICTURE[:500], "206 Partial Content", Content_Range="bytes 0-499/900"),
        "http_206: a part of it only, bytes 0-499/900",
    ),
    "300": (
        answer(b"", "300 Multiple Choices", Location="/x"),
        "http_300: Multiple Choices, Location: /x is not followed",
    ),
    "302 to nowhere": (answer(b"", "302 Found"), "http_302: Found, without a Location"),
    "302 to nothing": (
        answer(b"", "302 Found", Location=" "),
        "http_302: Found, without a Location",
    ),
    "304": (answer(b"", "304 Not Modified", None, length=False), "http_304: Not Modified"),
    "401": (
        answer(b"no", "401 Unauthorized", "text/plain"),
        "http_401: Unauthorized, text/plain: 'no'",
    ),
    "403 of a wall": (
        answer(PAGE, "403 Forbidden", "text/html"),
        "http_403: Forbidden, text/html: 'Just a moment...'",
    ),
    "403 of a store": (
        answer(
            b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><RequestId>0AB1"
            b"</RequestId></Error>",
            "403 Forbidden",
            "application/xml",
        ),
        "http_403: Forbidden, application/xml: 'AccessDenied #'",
    ),
    "404 in Latin letters": (
        answer(b"<h1>Page non trouv\xe9e, d\xe9sol\xe9s</h1>", "404 ", "text/html"),
        "http_404: Not Found, text/html: 'Page non trouv\ufffde, d\ufffdsol\ufffds'",
    ),
    "410": (answer(b"", "410 Gone"), "http_410: Gone"),
    "451": (
        answer(b"not in your country", "451 Unavailable For Legal Reasons", "text/plain"),
        "http_451: Unavailable For Legal Reasons, text/plain: 'not in your country'",
    ),
    "500": (
        answer(b"<h1>Oops</h1>", "500 Internal Server Error", "text/html"),
        "http_500: Internal Server Error, text/html: 'Oops'",
    ),
    "520": (answer(b"", "520 "), "http_520: a status without a name"),
    "999": (answer(b"", "999 Request denied"), "http_999: Request denied"),
    "control characters": (
        answer(b"<title>a\x1b[Jb</title>", "404 No\x1b[2J\x07 more", "text/html"),
        "http_404: No [2J more, text/html: 'a [Jb'",
    ),
    **encodings.REFUSED,
}
TYPES = (
    "image/jpg", "image/pjpeg", "IMAGE/JPEG", "image/png", "image", "jpg", "", ";", "*/*",
    '"image/jpeg"', "image/jpeg, image/jpeg", "application/x-image", "application/octet-stream",
    "octet/stream", "binary/octet-stream", "application/force-download", "text/plain", "text/html",
    "video/mp4", "application/json", "multipart/form-data; boundary=x", None,
)  # fmt: skip


@pytest.mark.parametrize("sent", KEPT.values(), ids=KEPT)
def test_a_picture_is_kept_however_it_is_sent(server, sent):
    assert fetched(server, sent) == PICTURE


@pytest.mark.parametrize("kind", TYPES)
def test_a_picture_is_one_by_its_bytes_whatever_its_type(server, kind):
    assert fetched(server, answer(PICTURE, kind=kind)) == PICTURE


@pytest.mark.parametrize(("sent", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_says_what_the_server_said(server, sent, said):
    """What ends with a space or a dot is only the beginning of what is said."""
    told = refusal_of(server, sent)
    assert told.startswith(said) if said.endswith(" ") else told == said


def test_a_chunk_of_minus_one_bytes_is_not_waited_for(server):
    """It would be read to the end of the connection, however much comes."""
    tracemalloc.start()
    with pytest.raises(Refused, match=r"^connection_failed: "):
        fetched(server, answer(b"-1\r\n", **CHUNKED), *[bytes(65_536)] * 1_000)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_of_a_page_only_the_beginning_is_read(server):
    """And its end is not known, so it could have been too large."""
    page = answer(b"<html><p>Hello " + b"x" * 10 * CAP, kind="text/html")
    with pytest.raises(Refused, match=r"^not_an_image: 200 OK, text/html: 'Hello #'$"):
        fetched(server, page, cap=20 * CAP)
