"""Undo a Content-Encoding within a bound of bytes.

We ask for `identity`, and many send something else all the same, or say that they do and do not.
"""

import re
import zlib
from collections.abc import Iterator
from email.message import Message

import pyarrow as pa

from stages.crawl.reasons import Refused
from stages.crawl.web.first_bytes import is_picture

GZIP, ZSTD = b"\x1f\x8b", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
PIECE = 2**16  # bytes that are made at a time: of a bomb, no more than one piece is too much
MOST = 4  # one over another
NAMES = {
    "x-gzip": "gzip",
    "br": "brotli",  # as Arrow calls it
}
NOTHING = {"identity", "none", "binary", "chunked", ""}


def encodings(headers: Message, start: bytes) -> list[str]:
    """Return what was done to a body, first to last; what is gzip says so by its first bytes."""
    told = [*headers.get_all("Content-Encoding", []), *headers.get_all("Transfer-Encoding", [])]
    names = [name.strip().lower() for value in told for name in value.split(",")]
    found = [NAMES.get(name, name) for name in names if name not in NOTHING]
    if len(found) > MOST:
        raise Refused("bad_encoding", f"{len(found)} encodings, one over another")
    return found or (["gzip"] if start.startswith(GZIP) else [])


def undone(body: bytes, names: list[str], most: int) -> bytes:
    """Return what the body was; raise Refused if that is more than `most` bytes, or not known."""
    for name in reversed(names):
        made = bytearray()
        try:
            for piece in _pieces(body, name):
                made += piece
                if len(made) > most:
                    raise Refused("too_large", f"more than {most} bytes once its {name} is undone")
        except EOFError as error:
            detail = f"its {name} ends early, after {len(made)} bytes of what is in it"
            raise Refused("connection_failed", detail) from error
        except (OSError, zlib.error) as error:
            if is_picture(body):
                continue
            raise Refused("bad_encoding", f"its {name} cannot be undone: {error}") from error
        body = bytes(made)
    return body


def beginning(body: bytes, names: list[str], most: int) -> bytes:
    """Return at most so many first bytes, as far as they can be had from a part of a body."""
    for name in reversed(names):
        made = bytearray()
        try:
            for piece in _pieces(body, name):
                made += piece
                if len(made) >= most:
                    break
        except (Refused, EOFError, OSError, zlib.error):
            made = made or bytearray(body)
        body = bytes(made)
    return body[:most]


def _pieces(body: bytes, name: str) -> Iterator[bytes]:
    """Yield what is in the body, piece by piece; a body that only claims to be so, as it is."""
    if is_picture(body):
        return iter([body])
    match name:
        case "gzip":
            return _inflated(body, 31) if body.startswith(GZIP) else iter([body])
        case "deflate":  # with a head, as the standard wants it, or without, as it was often sent
            has_head = body[:1] == b"\x78" and int.from_bytes(body[:2], "big") % 31 == 0
            return _inflated(body, 15 if has_head else -15)
        case "zstd" if not ZSTD.match(body):
            return iter([body])
        case "zstd" | "brotli":
            return _by_arrow(body, name)
        case _:
            raise Refused("bad_encoding", f"'{name}' is none that can be undone here")


def _inflated(body: bytes, form: int) -> Iterator[bytes]:
    """Yield what zlib makes of it, one gzip file after another; what follows is ignored.

    Raises EOFError where the end is missing.
    """
    inflate = zlib.decompressobj(form)
    for first in range(0, len(body), PIECE):
        data = body[first : first + PIECE]
        while data:
            if inflate.eof:
                if not (form == 31 and data.startswith(GZIP)):
                    return
                inflate = zlib.decompressobj(form)
            yield inflate.decompress(data, PIECE)
            data = inflate.unconsumed_tail or inflate.unused_data
    yield inflate.flush()
    if not inflate.eof:
        raise EOFError


def _by_arrow(body: bytes, name: str) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.BufferReader(body), name) as stream:
        while piece := stream.read(PIECE):
            yield piece
