"""Locate the files in a tar from its headers alone.

Tars of strangers are hostile: a header may claim any size and any name. Nothing here is opened or
written by a member's name, and of the extended headers only so many bytes are read. Python's own
tarfile reads those whole, whatever their size.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

BLOCK = 512
ZEROS = bytes(BLOCK)
MAX_EXTENDED_BYTES = 1_000_000  # of a long name or of pax records
REGULAR = (b"0", b"\0", b"7")
FOLDER = b"5"
WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")  # links, devices, folders, pipes
PAX, GNU_NAME, GNU_LINK, GNU_SPARSE = b"x", b"L", b"K", b"S"
EXTENDED = {PAX: "", GNU_NAME: "path", GNU_LINK: "linkpath"}
HARD_LINK, SYMBOLIC_LINK = b"1", b"2"
MAX_NAMES = 100_000  # of members, which a link may name, and of links whose file is to come
ASIDE = (b"g", b"V", b"N", b"D", b"M")  # of the archive, or not needed here


class TarDamaged(Exception):
    """From some byte on the file is no tar."""


class WithoutEnd(Exception):
    """The tar ends right behind a member: some writers leave the end mark out, a cut does too."""


@dataclass(frozen=True)
class Member:
    """A file of the archive: its name, and where its bytes are."""

    name: str
    offset: int
    size: int
    problem: str = ""  # why it is not read, as `reason: detail`
    target: str = ""  # of a link: the name of another member
    link: str = ""  # the same as it is written


def members(file: BinaryIO, length: int) -> Iterator[Member]:
    """Yield everything but folders in a tar of `length` bytes, also behind an early end mark.

    A link is where the member is that it leads to, and comes after it. Raises TarDamaged where the
    headers stop making sense, and WithoutEnd if there is no end mark, after what came before was
    yielded.
    """
    links = _Links()
    ended: TarDamaged | WithoutEnd | None = None
    try:
        for member in _as_written(file, length):
            yield from links.followed(member)
    except (TarDamaged, WithoutEnd) as error:
        ended = error
    yield from links.rest()
    if ended is not None:
        raise ended


class _Links:
    """Where members are, and the links to those that have not come yet."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[int, int]] = {}
        self.waiting: dict[str, list[Member]] = {}
        self.held = 0

    def followed(self, member: Member) -> Iterator[Member]:
        """Yield a member, and the links that waited for it; a link waits for its own."""
        if member.target and member.target not in self.places:
            if self.held == MAX_NAMES:
                yield from self._given_up(next(iter(self.waiting)))
            self.waiting.setdefault(member.target, []).append(member)
            self.held += 1
            return
        if member.target:
            member = _at(member, self.places[member.target])
        found = [member]
        while found:
            member = found.pop()
            yield member
            if not member.problem:
                found += self._arrived(member)

    def rest(self) -> Iterator[Member]:
        """Yield the links that lead to no member."""
        for target in list(self.waiting):
            yield from self._given_up(target)

    def _arrived(self, member: Member) -> list[Member]:
        name, place = posixpath.normpath(member.name), (member.offset, member.size)
        self.places[name] = place
        if len(self.places) > MAX_NAMES:
            del self.places[next(iter(self.places))]
        links = self.waiting.pop(name, [])
        self.held -= len(links)
        return [_at(link, place) for link in reversed(links)]

    def _given_up(self, target: str) -> Iterator[Member]:
        links = self.waiting.pop(target)
        self.held -= len(links)
        for link in links:
            why = f"{link.name} is a link to {link.link[:200]}, no file of the tar"
            yield replace(link, problem=f"link_outside: {why}", target="")


def _at(link: Member, place: tuple[int, int]) -> Member:
    return replace(link, offset=place[0], size=place[1], target="")


def _as_written(file: BinaryIO, length: int) -> Iterator[Member]:
    """Yield members and links in their order."""
    position = 0
    open_end = False
    extended: dict[str, str] = {}
    while header := _read(file, position, min(BLOCK, length - position)):
        if header == ZEROS:
            position += BLOCK
            open_end = False
            continue
        open_end = True
        kind, size = header[156:157], _checked_size(header, position)
        body = position + BLOCK
        if kind in EXTENDED:
            if size > MAX_EXTENDED_BYTES:
                raise TarDamaged(f"at byte {position}: an extended header of {size} bytes")
            data = _read(file, body, size)
            if len(data) < size:
                raise TarDamaged(f"at byte {position}: it ends inside an extended header")
            extended |= _pax(data, position) if kind == PAX else {EXTENDED[kind]: _text(data)}
        elif kind not in ASIDE:
            name = extended.get("GNU.sparse.name") or extended.get("path") or _name(header)
            if kind == GNU_SPARSE:
                body = _behind_sparse_headers(file, header, body)
            size = 0 if kind in WITHOUT_DATA else _pax_size(extended, size, position)
            if body + size > length:
                raise TarDamaged(f"at byte {position}: it ends inside {name[:200]}")
            if kind != FOLDER and not name.endswith("/"):
                link = extended.get("linkpath") or _text(header[157:257])
                problem, target = _problem(kind, name, extended), _target(kind, name, link)
                yield Member(name, body, size, problem, target, link)
            extended = {}
        position = body + -(-size // BLOCK) * BLOCK
        if position > length:
            raise TarDamaged(f"at byte {length}: it ends inside a member or its padding")
    if extended:
        raise TarDamaged(f"at byte {position}: it ends behind an extended header")
    if open_end:
        raise WithoutEnd


def _behind_sparse_headers(file: BinaryIO, header: bytes, body: int) -> int:
    """Return where the data of a sparse file are: behind further headers that say where it goes."""
    more = header[482:483]
    while more not in (b"", b"\0"):
        more = _read(file, body, BLOCK)[504:505]
        body += BLOCK
    return body


def _target(kind: bytes, name: str, link: str) -> str:
    """Return the name of the member that a link leads to: a symbolic one from its own folder."""
    if kind == SYMBOLIC_LINK:
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    return posixpath.normpath(link) if kind == HARD_LINK else ""


def _problem(kind: bytes, name: str, extended: dict[str, str]) -> str:
    if kind == GNU_SPARSE or any(key.startswith("GNU.sparse") for key in extended):
        return f"unreadable_row: {name} is a sparse file; pack it without tar's -S"
    is_file = kind in (*REGULAR, HARD_LINK, SYMBOLIC_LINK)
    return "" if is_file else f"missing_file: {name} is a device or pipe, not a file"


def begins_tar(head: bytes) -> bool:
    """Return whether a file begins with a tar's header, whatever its first letters look like."""
    try:
        return _checked_size(head[:BLOCK], 0) >= 0
    except TarDamaged:
        return False


def _read(file: BinaryIO, position: int, size: int) -> bytes:
    if size <= 0:
        return b""
    file.seek(position)
    return file.read(size)


def _checked_size(header: bytes, position: int) -> int:
    """Return the size that a header claims, if its checksum is right."""
    if len(header) < BLOCK:
        raise TarDamaged(f"at byte {position}: it ends inside a header")
    stored = _number(header[148:156], position)
    if stored != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
        raise TarDamaged(f"at byte {position}: no header of a tar")
    return _number(header[124:136], position)


def _number(field: bytes, position: int) -> int:
    """Read octal digits, or the binary form for what is too large for them."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise TarDamaged(f"at byte {position}: a header without a size or checksum")
    return int(digits or b"0", 8)


def _name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500])
    ustar = header[257:263] == b"ustar\0"  # GNU's own form keeps other things there
    return f"{prefix}/{name}" if ustar and prefix else name


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _pax(data: bytes, position: int) -> dict[str, str]:
    """Read records of the form `length key=value newline`."""
    records: dict[str, str] = {}
    at = 0
    while at < len(data):
        digits, space, _ = data[at : at + 20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = data[at + len(digits) + 1 : at + length]
        if length <= len(digits) or not record.endswith(b"\n"):
            raise TarDamaged(f"at byte {position}: a broken extended header")
        key, _, value = record[:-1].partition(b"=")
        records[_text(key)] = _text(value)
        at += length
    return records


def _pax_size(extended: dict[str, str], size: int, position: int) -> int:
    claimed = extended.get("size")
    if claimed is None:
        return size
    if not claimed.isdecimal() or len(claimed) > 19:
        raise TarDamaged(f"at byte {position}: a broken extended header")
    return int(claimed)
