"""What a server does to a picture for its way is undone, and never grows beyond what is allowed."""

import gzip
import tracemalloc
import zlib

import pyarrow as pa
import pytest

from stages.crawl.reasons import Refused
from stages.crawl.web.encodings import undone
from stages.crawl.web.robots import MAX_BYTES as ROBOTS_BYTES
from tests.stages.answers import (
    CAP,
    CHUNKED,
    HALF,
    PAGE,
    PICTURE,
    answer,
    answering,
    chunks,
    fetched,
    why_not,
)

GZIP = {"Content_Encoding": "gzip"}
ROBOTS = b"User-agent: *\nDisallow: /\n"


def by_arrow(body, name):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, name) as stream:
        stream.write(body)
    return sink.getvalue().to_pybytes()


def headless(body):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(body) + squeeze.flush()


def encoded(body, *names):
    return answer(body, Content_Encoding=list(names))


KEPT = {
    "gzip": encoded(gzip.compress(PICTURE, mtime=0), "gzip"),
    "x-gzip in odd letters": encoded(gzip.compress(PICTURE, mtime=0), "X-GZip"),
    "deflate": encoded(zlib.compress(PICTURE), "deflate"),
    "deflate without a head": encoded(headless(PICTURE), "deflate"),
    "brotli": encoded(by_arrow(PICTURE, "brotli"), "br"),
    "zstd": encoded(by_arrow(PICTURE, "zstd"), "zstd"),
    "zstd in two frames": encoded(
        by_arrow(PICTURE[:HALF], "zstd") + by_arrow(PICTURE[HALF:], "zstd"), "zstd"
    ),
    "identity": encoded(PICTURE, "identity"),
    "gzip in gzip": encoded(gzip.compress(gzip.compress(PICTURE, mtime=0)), "gzip, gzip"),
    "gzip over deflate": encoded(gzip.compress(zlib.compress(PICTURE)), "deflate", "gzip"),
    "gzip of two members": encoded(
        gzip.compress(PICTURE[:HALF]) + gzip.compress(PICTURE[HALF:]), "gzip"
    ),
    "gzip and something after it": encoded(gzip.compress(PICTURE, mtime=0) + b"more", "gzip"),
    "gzip in chunks": answer(
        chunks(gzip.compress(PICTURE, mtime=0)[:99], gzip.compress(PICTURE)[99:]), **GZIP, **CHUNKED
    ),
    "a transfer coding": answer(
        chunks(gzip.compress(PICTURE, mtime=0)), length=False, Transfer_Encoding="gzip, chunked"
    ),
    "gzip that no header names": answer(gzip.compress(PICTURE, mtime=0)),
    "no gzip though a header says so": encoded(PICTURE, "gzip"),
    "no deflate": encoded(PICTURE, "deflate"),
    "no brotli": encoded(PICTURE, "br"),
    "no zstd": encoded(PICTURE, "zstd"),
    "a word that is no encoding": encoded(PICTURE, "aws-chunked"),
}
REFUSED = {
    "compress": (
        encoded(b"\x1f\x9d\x90" + PICTURE, "compress"),
        "bad_encoding: 'compress' is none that can be undone here",
    ),
    "base64": (
        encoded(b"/9j/4AAQ" * 99, "base64"),
        "not_an_image: 200 OK, image/jpeg, Content-Encoding: base64: '#'",
    ),
    "five encodings": (
        encoded(PICTURE, *["gzip"] * 5),
        "bad_encoding: 5 encodings, one over another",
    ),
    "gzip cut short": (
        encoded(gzip.compress(PICTURE, mtime=0)[:-30], "gzip"),
        "connection_failed: its gzip ends early, after ",
    ),
    "gzip with a wrong sum": (
        encoded(gzip.compress(PICTURE, mtime=0)[:-8] + b"x" * 8, "gzip"),
        "bad_encoding: its gzip cannot be undone: ",
    ),
    "brotli cut short": (
        encoded(by_arrow(PICTURE, "brotli")[:-40], "br"),
        "bad_encoding: its brotli cannot be undone: ",
    ),
    "zstd cut short": (
        encoded(by_arrow(PICTURE, "zstd")[:-40], "zstd"),
        "bad_encoding: its zstd cannot be undone: ",
    ),
    "a page in gzip": (
        answer(gzip.compress(PAGE, mtime=0), kind="text/html", **GZIP),
        "not_an_image: 200 OK, text/html, Content-Encoding: gzip: 'Just a moment...'",
    ),
}


MAKE = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: by_arrow(body, "brotli"),
    "zstd": lambda body: by_arrow(body, "zstd"),
}


@pytest.mark.parametrize("name", MAKE)
def test_a_bomb_is_refused_for_its_size_and_takes_no_more_memory_than_a_picture(server, name):
    body = MAKE[name](PICTURE + bytes(30_000_000))
    assert len(body) < CAP
    arrows = pa.default_memory_pool().max_memory()
    tracemalloc.start()
    with pytest.raises(Refused, match=rf"^too_large: more than {CAP} bytes once its \w+ is undone"):
        fetched(server, encoded(body, name))
    assert tracemalloc.get_traced_memory()[1] < 20 * CAP
    tracemalloc.stop()
    assert pa.default_memory_pool().max_memory() - arrows < 8_000_000


def test_a_bomb_in_a_bomb_is_refused_at_the_first_layer_that_is_too_large():
    body = gzip.compress(gzip.compress(bytes(10_000_000)) * 20)
    with pytest.raises(Refused, match=r"^too_large: more than 50000 bytes once its gzip is undone"):
        undone(body, ["gzip", "gzip"], 50_000)


@pytest.mark.parametrize(
    ("robots", "headers"),
    [
        (ROBOTS, {}),
        (gzip.compress(ROBOTS, mtime=0), GZIP),
        (gzip.compress(ROBOTS, mtime=0), {}),
        (by_arrow(ROBOTS, "brotli"), {"Content_Encoding": "br"}),
        (ROBOTS, GZIP),
        (ROBOTS, {"Content_Encoding": "br"}),
        (gzip.compress(ROBOTS + b"#" * 9 * ROBOTS_BYTES), GZIP),
    ],
)
def test_a_robots_txt_is_read_in_any_encoding(robots, headers):
    with answering(answer(PICTURE)) as server:
        server.url(answer(robots, kind="text/plain", **headers), path="/robots.txt")
        url = f"http://{server.place}/x.jpg"
        assert why_not(url, server.place, respect_robots=True) == "robots_txt"
