"""Recognise picture files that are cut off, whatever the decoder's error says."""

import struct
from collections.abc import Callable

from stages.pictures import jpeg, png

RIFF, GIF, BMP = b"RIFF", b"GIF8", b"BM"
TIFF = {b"II*\0": "<", b"MM\0*": ">"}
STRIPS, TILES = (273, 279), (324, 325)  # tags of where the pixels lie, and how many bytes
SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # of a value, by its type; else 1
NUMBERS = {1: "B", 3: "H", 4: "I"}
MOST_PARTS = 100_000  # strips or tiles that are looked at


def is_cut(data: bytes) -> bool:
    """Return whether the bytes are the beginning of a picture whose rest is missing."""
    for start, cut in _KINDS.items():
        if data.startswith(start):
            try:
                return cut(data)
            except (struct.error, IndexError):  # it ends where it should say more
                return True
    return data[4:8] == b"ftyp" and _is_cut_boxes(data)


def _is_cut_bmp(data: bytes) -> bool:
    start, header, width, height = struct.unpack_from("<4xIIii", data, 6)[0:4]
    if header == 12:  # the oldest kind
        width, height = struct.unpack_from("<HH", data, 18)
        bits, compression = struct.unpack_from("<H", data, 24)[0], 0
    else:
        bits, compression = struct.unpack_from("<HI", data, 28)
    whole = struct.unpack_from("<I", data, 2)[0]
    if compression in (0, 3):
        whole = start + abs(height) * ((width * bits + 31) // 32 * 4)
    return len(data) < whole


def _is_cut_gif(data: bytes) -> bool:
    """Go from block to block, as far as the end of the first frame."""
    place = 13 + _colours(data[10])
    while data[place] != 0x3B:
        if data[place] == 0x2C:
            place = _after_blocks(data, place + 11 + _colours(data[place + 9]))
            return place > len(data)
        place = _after_blocks(data, place + 2)
    return False


def _colours(flags: int) -> int:
    return 3 * 2 ** (flags % 8 + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, place: int) -> int:
    while size := data[place]:
        place += 1 + size
    return place + 1


def _is_cut_tiff(data: bytes) -> bool:
    """Look whether what the first picture's tags point to, or its pixels, lie beyond the end."""
    order = TIFF[data[:4]]
    start = struct.unpack_from(order + "I", data, 4)[0]
    tags = {}
    for number in range(struct.unpack_from(order + "H", data, start)[0]):
        place = start + 2 + 12 * number
        tag, kind, length = struct.unpack_from(order + "HHI", data, place)
        size = length * SIZES.get(kind, 1)
        place = place + 8 if size <= 4 else struct.unpack_from(order + "I", data, place + 8)[0]
        if place + size > len(data):
            return True
        if tag in (*STRIPS, *TILES) and kind in NUMBERS:
            code = f"{order}{min(length, MOST_PARTS)}{NUMBERS[kind]}"
            tags[tag] = struct.unpack_from(code, data, place)
    for places, sizes in (STRIPS, TILES):
        parts = zip(tags.get(places, ()), tags.get(sizes, ()), strict=False)
        if any(place + size > len(data) for place, size in parts):
            return True
    return False


def _is_cut_boxes(data: bytes) -> bool:
    """Go from box to box of an AVIF."""
    place = 0
    while place < len(data):
        size = struct.unpack_from(">I", data, place)[0] if place + 4 <= len(data) else 0
        if size == 1 and place + 16 <= len(data):
            size = struct.unpack_from(">Q", data, place + 8)[0]
        if size == 0:  # to the end of the file
            return place + 8 > len(data)
        place += size
    return place > len(data)


_KINDS: dict[bytes, Callable[[bytes], bool]] = {
    jpeg.START: lambda data: not jpeg.has_end(data),
    png.SIGNATURE: png.is_cut,
    RIFF: lambda data: len(data) < 8 + int(struct.unpack_from("<I", data, 4)[0]),
    GIF: _is_cut_gif,
    BMP: _is_cut_bmp,
    **dict.fromkeys(TIFF, _is_cut_tiff),
}
