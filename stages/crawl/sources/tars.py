"""Read tars of pictures and captions, as WebDataset writes them.

The listing reads headers only; workers then read pictures and captions where they lie, so nothing
is unpacked and a member's name is only ever a label.
"""

from collections.abc import Iterator, Sequence
from io import SEEK_END
from itertools import takewhile
from pathlib import PurePosixPath
from typing import BinaryIO

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.reasons import Refused
from stages.crawl.sources.content import HEAD_BYTES, by_content, refusal, stored
from stages.crawl.sources.file_names import UNKNOWN, folder_to_pass_over, named
from stages.crawl.sources.found import EXAMPLES, FileKind, found_files
from stages.crawl.sources.listed import Row, damage_row
from stages.crawl.sources.samples import SampleFile, Samples
from stages.crawl.sources.source import Source
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.tar_members import (
    Member,
    TarDamaged,
    WithoutEnd,
    begins_tar,
    members,
)
from stages.pictures.forms import HEAD_BYTES as PICTURE_BYTES
from stages.pictures.forms import form_of_bytes
from stages.storage import system_of
from stages.threads import in_threads

PACKED = {  # what packs tars, the endings that say so, and the command that unpacks one
    "gzip": (".tar.gz .tgz .taz", "gzip -dc"),
    "bzip2": (".tar.bz2 .tbz .tbz2 .tb2", "bzip2 -dc"),
    "xz": (".tar.xz .txz", "xz -dc"),
    "Zstandard": (".tar.zst .tzst", "zstd -dc"),
    "lz4": (".tar.lz4 .tlz4", "lz4 -dc"),
    "compress": (".tar.z", "uncompress -c"),
    "zip": (".zip", "unzip"),
    "7-Zip": (".7z", "7z x"),
    "rar": (".rar", "unrar x"),
}
BY_ENDING = {end: packer for packer, (ends, _) in PACKED.items() for end in ends.split()}
OF_MANY_FILES = ("zip", "7-Zip", "rar")
UNENDED = "without its end mark: may be cut short"
NOTHING = "tars without pictures and captions"
METADATA = "metadata, which is read in folders only"


def _suffix_of(file: str) -> str:
    path = PurePosixPath(file.lower())
    inner = PurePosixPath(path.stem).suffix
    return inner + path.suffix if inner == ".tar" else path.suffix


TARS = FileKind(
    "tars",
    "a tar",
    "tars",
    (".tar", *BY_ENDING),
    _suffix_of,
    plain=(".tar",),
)


def tar_files(source: SourceSettings) -> tuple[list[tuple[str, str]], Survey]:
    """Return a label and the address of every tar, and what else is there.

    Raises ConfigError if there is none, or if some are packed.
    """
    files, survey = found_files(source.path, TARS)
    _refuse([(file, BY_ENDING.get(_suffix_of(file), "")) for file in files], source)
    folders = [file.split("/")[:-1] for file in files]
    alike = takewhile(
        lambda pair: pair[0] == pair[1], zip(min(folders), max(folders), strict=False)
    )
    shared = len(list(alike))
    return [("/".join(file.split("/")[shared:]), file) for file in files], survey


class Tars(Source):
    """Tars of pictures."""

    wants = "tars, such as --set 'crawl.source.path=tars/*.tar'"

    def files(self) -> list[tuple[str, str | None]]:
        return [*tar_files(self.settings)[0]]

    def rows(self, survey: Survey) -> Iterator[Row]:
        """Yield a row for every picture, and one for the rest of a tar that cannot be read.

        Raises ConfigError if a tar's first bytes say that it is packed.
        """
        files, found = tar_files(self.settings)
        survey.add(found)
        packers = in_threads(_packed_by_content, [address for _, address in files])
        found_packed = [(file, packer) for (file, _), packer in zip(files, packers, strict=True)]
        _refuse(found_packed, self.settings)
        for label, address in files:
            with stored(address) as file:
                rows = _rows_of(file, file.seek(0, SEEK_END), label, address, survey)
                yield from survey.unless_empty(rows, NOTHING, label)

    def reader(self, max_bytes: int) -> "TarReader":
        return TarReader(max_bytes)


def _packed_by_content(file: str) -> str:
    with stored(file) as raw:
        head = raw.read(HEAD_BYTES)
    found = "" if begins_tar(head) else by_content(head)
    packer = next((packer for packer in PACKED if found.startswith(packer)), "")
    if found and not packer:
        raise refusal(found, file, "a tar")
    return packer


def _refuse(packed: Sequence[tuple[str, str]], source: SourceSettings) -> None:
    """Raise ConfigError if something has packed some of the tars: no worker could begin inside."""
    found = [(file.rpartition("/")[2], packer) for file, packer in packed if packer]
    if not found:
        return
    some = ", ".join(f"{name} ({packer})" for name, packer in found[:EXAMPLES])
    more = ", ..." * (len(found) > EXAMPLES)
    name, packer = found[0]
    plain = f"{name.partition('.')[0]}-plain.tar"
    many = packer in OF_MANY_FILES
    how = f"`{PACKED[packer][1]} {name}` and `tar c`" if many else ""
    how = how or f"`{PACKED[packer][1]} {name} > {plain}`"
    raise ConfigError(
        f"wanted plain tars at '{source.path}', found {len(found)} packed: {some}{more}; a picture "
        f"is read at its place in a tar, so unpack them first, such as with {how}, "
        "or give a glob of the plain ones"
    )


def _rows_of(
    file: BinaryIO, length: int, label: str, address: str, survey: Survey
) -> Iterator[Row]:
    samples = Samples(label, survey)
    damage = []
    try:
        for member in members(file, length):
            if part := _part(member, file, f"{address}:{member.offset}:{member.size}", survey):
                yield from samples.add(part)
    except TarDamaged as error:
        damage = [damage_row(f"the rest of {label}, {error}", label)]
    except WithoutEnd:
        survey.note(UNENDED, label)
    yield from samples.rest()
    yield from damage


def _part(member: Member, file: BinaryIO, address: str, survey: Survey) -> SampleFile | None:
    """Return what a member is to its sample, or None if it is passed over."""
    name = _without_dots(member.name)
    folder, slash, base = name.rpartition("/")
    by_name = named(base)
    kind, why = by_name.kind, by_name.why
    if aside := folder_to_pass_over(name.replace("../", "")):
        kind, why = "passed_over", aside[1]
    if kind == "unknown":
        is_picture = not member.problem and form_of_bytes(_head(file, member)) is not None
        kind, why = ("picture", "") if is_picture else ("passed_over", UNKNOWN)
    if kind in ("passed_over", "metadata"):
        survey.pass_over(why or METADATA, name)
        return None
    stem, is_picture = folder + slash + by_name.stem, kind == "picture"
    return SampleFile(name, stem, by_name.ending, address, is_picture, member.problem)


def _without_dots(name: str) -> str:
    """Leave out what changes no place: `.` and empty names of folders."""
    inner = "/".join(part for part in name.split("/") if part not in ("", "."))
    return f"/{inner}" if name.startswith("/") else inner


def _head(file: BinaryIO, member: Member) -> bytes:
    file.seek(member.offset)
    return file.read(min(member.size, PICTURE_BYTES))


class TarReader:
    """Reads members at `<address of the tar>:<offset>:<bytes>`, and none that is too large."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def read(self, name: str) -> bytes:
        """Return a member's bytes; raise Refused if they are too many or not there."""
        address, offset, size = name.rsplit(":", 2)
        if int(size) > self.max_bytes:
            raise Refused("too_large", f"{size} bytes in {address}")
        system, path = system_of(address)
        start = int(offset)
        data: bytes = (
            system.cat_file(path, start=start, end=start + int(size)) if int(size) else b""
        )
        if len(data) != int(size):
            raise Refused("missing_file", f"{address} is shorter than it was")
        return data
