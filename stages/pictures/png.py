"""Strip a PNG of what does not belong to the picture: texts, times, animation, broken extras.

Texts and profiles are compressed, so that a few kilobytes of file may claim gigabytes of memory;
decoders that read them refuse the whole picture when they find too much.
"""

import struct
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Older ways of saying how the picture is turned, from before there was eXIf.
TURNING = (b"XML:com.adobe.xmp", b"Raw profile type exif")
LARGEST_TEXT = 65_536  # bytes of a text that may say so, in the file and out of it


@dataclass(frozen=True)
class Chunk:
    """A chunk of a PNG file, and where it lies in it."""

    kind: bytes
    body: memoryview
    start: int
    end: int  # beyond the end of the data if that is cut short
    checksum: bytes

    @property
    def intact(self) -> bool:
        found = zlib.crc32(self.body, zlib.crc32(self.kind))
        return found.to_bytes(4, "big") == self.checksum


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to the last, of which a part may be missing."""
    place, view, kind = len(SIGNATURE), memoryview(data), b""
    while kind != b"IEND" and place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = view[place + 8 : place + 8 + length]
        end = place + 12 + length
        yield Chunk(kind, body, place, end, bytes(view[end - 4 : end]))
        place = end


def is_cut(data: bytes) -> bool:
    """Return whether the file stops before its last chunk does."""
    (last,) = deque(chunks(data), maxlen=1) or (None,)
    return last is None or last.kind != b"IEND" or last.end > len(data)


def plain(data: bytes, largest_profile: int) -> tuple[bytes, bytes | None]:
    """Return the file with nothing that the pixels do not need, and its colour profile.

    A profile that is broken or larger than `largest_profile` bytes is left out.
    """
    profile, kept, same = None, [SIGNATURE], True
    for chunk in chunks(data):
        if chunk.kind == b"iCCP" and chunk.intact and profile is None:
            profile = _inflated(chunk.body, largest_profile)
        if _needed(chunk):
            kept.append(data[chunk.start : chunk.end])
        else:
            same = False
    return (data if same else b"".join(kept)), profile


def _needed(chunk: Chunk) -> bool:
    if chunk.kind in PIXELS or not chunk.kind[0] & 32:  # a letter in upper case: not to be ignored
        return True
    if chunk.kind == b"eXIf":
        return chunk.intact
    return chunk.kind in TEXTS and chunk.intact and _may_say_how_it_is_turned(chunk)


def _may_say_how_it_is_turned(chunk: Chunk) -> bool:
    keyword, _, rest = bytes(chunk.body[:LARGEST_TEXT]).partition(b"\0")
    if keyword not in TURNING or len(chunk.body) >= LARGEST_TEXT:
        return False
    if chunk.kind == b"zTXt":
        return _inflated(chunk.body, LARGEST_TEXT) is not None
    # Hardly anybody compresses the other kind.
    return chunk.kind != b"iTXt" or rest[:1] != b"\1"


def _inflated(body: memoryview, most: int) -> bytes | None:
    """Return what is compressed after a name and the number of the method; None if it cannot be."""
    packed = bytes(body).partition(b"\0")[2][1:]
    inflate = zlib.decompressobj()
    try:
        found = inflate.decompress(packed, most + 1)
    except zlib.error:
        return None
    return found if inflate.eof and len(found) <= most else None
