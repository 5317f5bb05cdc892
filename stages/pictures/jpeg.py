"""Check whether a JPEG without an end has all of its pixels.

The decoder fills in what is missing and says nothing of it. But pixels that are all there do not
depend on what follows them: so the file is decoded with several ends put to it, and all of its
pixels are there if, and only if, they come out the same.
"""

import hashlib
import io
import re
import struct
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from stages.pictures.refusal import BROKEN

START, END = b"\xff\xd8", b"\xff\xd9"
SOS, DRI, RESTARTS = 0xDA, 0xDD, range(0xD0, 0xD8)
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a length after them
COEFFICIENTS = 64
MOST_SEGMENTS = 10_000  # that are looked at; a picture has a few dozen, the largest a few hundred
EXTRAS = {*range(0xE0, 0xF0), 0xFE}  # segments that decoders may pass over, but for these
NEEDED = {0xE1: b"Exif\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
MARKER = re.compile(rb"\xff+([^\x00\xff])")
# In what is coded, a stuffed byte is no end; nor is a restart where the file has announced them.
AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff]"), re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
# Ends that begin with another bit, and one of no regularity.
ENDS = (
    bytes(64),
    b"\xaa" * 64,
    hashlib.sha512(b"no picture").digest().replace(b"\xff", b"\x7f"),
)
PADDING = 16  # zeros at the end that are no data: a file system's, of what was never written


@dataclass
class _Read:
    """What the markers of a file say."""

    bits_left: dict[int, list[int]] = field(default_factory=dict)  # of each component's 64 waves
    progressive: bool = False
    restarts: bool = False
    restart: int = 0  # the number of the next restart marker
    end: int = 0  # after the last scan that has begun, without a marker that is cut off
    ended: bool = False


def has_end(data: bytes) -> bool:
    """Return whether the marker of the end is where the picture ends; whatever follows it."""
    return data.endswith(END) or _read(data).ended


def mended(data: bytes) -> bytes | None:
    """Return a JPEG without an end with one, if all of its pixels are there; else None."""
    found = data.rstrip(b"\0")
    padded = len(data) - len(found) >= PADDING
    found = found if padded else data
    read = _read(found)
    if not read.bits_left or any(any(bits) for bits in read.bits_left.values()):
        return None
    found = found[: read.end]
    tries = [found.rstrip(b"\xff")]
    if padded or found.endswith(b"\xff"):  # half of a marker, or a byte without its stuffing
        tries.append(found + b"\0")
    for whole in tries:
        digests = {_digest(whole + _filled(end, read.restart) + END) for end in ENDS}
        if len(digests) == 1 and None not in digests:
            return whole + END
    return None


def plain(data: bytes) -> bytes:
    """Return the file without the segments before its pixels that do not change them."""
    kept, place = [START], len(START)
    for _ in range(MOST_SEGMENTS):
        if not (found := MARKER.match(data, place)):
            break
        marker, start = found[1][0], found.end()
        (length,) = struct.unpack_from(">H", data.ljust(start + 2, b"\0"), start)
        if marker == SOS or marker in ALONE:
            break
        body = data[start + 2 : start + length]
        if marker not in EXTRAS or body.startswith(NEEDED.get(marker, ())):
            kept.append(data[place : start + length])
        place = start + max(length, 2)
    return b"".join(kept) + data[place:]


def _filled(end: bytes, restart: int) -> bytes:
    """Return data for every part that may be missing, each after the restart it waits for."""
    marks = (bytes([0xFF, RESTARTS[(restart + n) % 8]]) for n in range(16))
    return end + b"".join(mark + end for mark in marks)


def _digest(data: bytes) -> bytes | None:
    pixels = hashlib.sha256()
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            image.load()
            for top in range(0, image.height, 256):
                strip = image.crop((0, top, image.width, min(top + 256, image.height)))
                pixels.update(np.asarray(strip).tobytes())
    except BROKEN:
        return None
    return pixels.digest()


def _read(data: bytes) -> _Read:
    """Go from marker to marker, as far as there are whole ones."""
    read, place = _Read(), len(START)
    for _ in range(MOST_SEGMENTS):
        if read.ended or not (found := MARKER.search(data, place)):
            break
        marker, place = found[1][0], found.end()
        read.ended = marker == END[1]
        if marker in ALONE:
            continue
        if place + 2 > len(data):
            break
        (length,) = struct.unpack_from(">H", data, place)
        if place + length > len(data):
            break
        body, place = data[place + 2 : place + length], place + length
        if marker in FRAMES:
            read.progressive = marker in PROGRESSIVE
            components = range(6, len(body) - 2, 3)
            read.bits_left = {body[at]: [1] * COEFFICIENTS for at in components}
        elif marker == DRI:
            read.restarts = any(body)
        elif marker == SOS:
            _scan(read, body)
            place = _after_scan(read, data, place)
    return read


def _scan(read: _Read, body: bytes) -> None:
    """Note which waves this scan gives, and to which bit."""
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count:
        return
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    if not read.progressive:
        first, last, bits = 0, COEFFICIENTS - 1, 0
    for component in body[1 : 1 + 2 * count : 2]:
        waves = read.bits_left.get(component, [])
        waves[first : last + 1] = [bits & 15] * len(waves[first : last + 1])


def _after_scan(read: _Read, data: bytes, place: int) -> int:
    """Return where what is coded ends."""
    found = AFTER_SCAN[read.restarts].search(data, place)
    end = found.start() if found else len(data)
    restarts = re.findall(rb"\xff[\xd0-\xd7]", data[place:end])
    read.restart = (restarts[-1][1] - RESTARTS[0] + 1) % 8 if restarts else 0
    read.end = end
    return end
