"""Recognise files by their first bytes, and open gzip, bzip2 and xz transparently."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from schemas.errors import ConfigError, UserError
from stages import storage

HEAD_BYTES = 1_024
GZIP, BZIP2, XZ = "gzip", "bzip2", "xz"

# The first bytes of a file, what it is, and what to do where something else is wanted.
MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", GZIP, "unpack it with `gunzip`"),
    (b"BZh", BZIP2, "unpack it with `bunzip2`"),
    (b"\xfd7zXZ\0", XZ, "unpack it with `unxz`"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "unpack it with `unzstd`"),
    (b"\x04\x22\x4d\x18", "lz4", "unpack it with `unlz4`"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", "unpack it with `7z x`"),
    (b"Rar!\x1a\x07", "rar", "unpack it with `unrar x`"),
    (b"PAR1", "Parquet", "give it the ending .parquet"),
    (b"PK\x03\x04", "zip (as .xlsx and .ods are)", "unpack it, or save the table as CSV"),
    (b"PK\x05\x06", "an empty zip", "pack it again"),
    (b"\xd0\xcf\x11\xe0", "an Excel file (.xls)", "save the table as CSV"),
    (b"SQLite format 3\0", "a SQLite database", "write its table as CSV"),
    (b"ARROW1\0\0", "an Arrow file", "write it as Parquet"),
    (b"\x89HDF\r\n", "HDF5", "write its table as Parquet"),
    (b"\x93NUMPY", "a NumPy array", "write it as Parquet"),
    (b"%PDF-", "PDF", "write its table as CSV"),
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file with `git lfs pull`"),
    (b"<!doctype html", "a page of HTML", "download it again, for it may say what went wrong"),
    (b"<html", "a page of HTML", "download it again, for it may say what went wrong"),
    (b"<?xml", "XML", "download it again, or write its table as CSV"),
)
SPACE = b" \t\r\n\xef\xbb\xbf"  # that a page may have before its first tag

UNPACKED: dict[str, Callable[[Any], Any]] = {
    GZIP: lambda file: gzip.GzipFile(fileobj=file),
    BZIP2: bz2.BZ2File,
    XZ: lzma.LZMAFile,
}
# What these raise of a file that is damaged, or ends too early.
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, OSError)


def by_content(head: bytes) -> str:
    """Name what a file is by its first bytes; empty if nothing speaks against text or a tar."""
    return next((kind for magic, kind, _ in MAGIC if _starts(head, magic)), "")


def refusal(kind: str, file: str, wanted: str) -> ConfigError:
    remedy = next(todo for _, name, todo in MAGIC if name == kind)
    return ConfigError(
        f"wanted {wanted} in {file}, found {kind} by its first bytes; {remedy}, or take it out"
    )


def _starts(head: bytes, magic: bytes) -> bool:
    return head.startswith(magic) or (
        magic.startswith(b"<") and head.lstrip(SPACE).lower().startswith(magic)
    )


class Unavailable(UserError):
    """A store does not give what is there; it may later."""


@contextmanager
def stored(file: str) -> Iterator[Any]:
    """Open a file on any store; raise ConfigError if it is not there for us."""
    try:
        opened = storage.opened(file)
    except OSError as error:
        raise ConfigError(
            f"wanted to read {file}, found {error.strerror or type(error).__name__}; let this user "
            "read it, or take it out"
        ) from error
    with opened:
        yield Stored(opened, file)


@contextmanager
def plain_bytes(file: str, wanted: str, but: str = "") -> Iterator[Any]:
    """Open a file on any store, and what is inside it if gzip, bzip2 or xz has packed it.

    Its bytes say which, not its name: browsers unpack what they download and leave the name.
    Reading raises one of DAMAGE where the packing is damaged. Raises ConfigError if the first
    bytes are those of some kind of file `but` this one.
    """
    with stored(file) as raw:
        plain: Any = io.BufferedReader(raw)
        head = plain.peek(HEAD_BYTES)
        if (packing := by_content(head)) in UNPACKED:
            plain = UNPACKED[packing](plain)
            try:
                head = plain.peek(HEAD_BYTES)
            except DAMAGE:
                head = b""  # the next read raises it again
        if (kind := by_content(head)) not in ("", but):
            raise refusal(kind, file, wanted)
        yield plain


class Stored(io.RawIOBase):
    """A file on any store, whose failing is no damage: it may be readable later."""

    def __init__(self, file: Any, address: str) -> None:
        self.file, self.address = file, address

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.file.read(len(buffer))
        except OSError as error:
            raise Unavailable(
                f"wanted to read {self.address}, found {error}; nothing was changed, run again "
                "later"
            ) from error
        buffer[: len(data)] = data
        return len(data)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()
