"""WebDataset tars: files of the same name up to the first dot are one sample.

The listing reads headers only; workers then read pictures and captions where they lie, so nothing
is unpacked and a member's name is only ever a label.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import PurePosixPath

import fsspec

from schemas.configs import SourceSettings
from stages.crawl.reasons import Refused
from stages.crawl.sources.beside import kind_of
from stages.crawl.sources.found import found_files
from stages.crawl.sources.listed import UNREADABLE, Row, listed_row, problem_row
from stages.crawl.sources.tar_members import Member, TarDamaged, members

OPEN_SAMPLES = 100_000  # of one tar: how far apart the files of a sample may be
NAMES_SHOWN = 5


def tar_files(source: SourceSettings) -> list[tuple[str, str]]:
    """Return a label and the address of every tar; raise ConfigError if there is none."""
    files = found_files(
        source.path, (".tar",), lambda file: PurePosixPath(file.lower()).suffix, "a tar"
    )
    folders = [file.split("/")[:-1] for file in files]
    alike = takewhile(
        lambda pair: pair[0] == pair[1], zip(min(folders), max(folders), strict=False)
    )
    shared = len(list(alike))
    return [("/".join(file.split("/")[shared:]), file) for file in files]


def tar_rows(source: SourceSettings) -> Iterator[Row]:
    """Yield a row for every sample, and one for the rest of a tar that cannot be read."""
    for label, address in tar_files(source):
        system, path = fsspec.core.url_to_fs(address)
        with system.open(path, "rb") as file:
            samples = _Samples(address)
            damage = []
            try:
                for member in members(file, system.size(path)):
                    for sample in samples.add(member):
                        yield sample.row(label)
            except TarDamaged as error:
                damage = [problem_row(UNREADABLE, f"the rest of {label}, {error}", label)]
            for sample in samples.under_way.values():
                yield sample.row(label)
            yield from damage


@dataclass
class _Sample:
    """Files of one name: what they are and where, so far."""

    name: str  # of the picture, or else of the first file
    parts: dict[str, str] = field(default_factory=dict)  # column of LISTED -> address
    names: list[str] = field(default_factory=list)  # a few, for people
    link: str = ""

    def row(self, label: str) -> Row:
        """Return the sample in the LISTED form."""
        url = f"{label}/{self.name}"
        if self.link:
            return problem_row("bad_url", f"{self.link} is a link or device, not a file", url)
        if "picture" not in self.parts:
            return problem_row("missing_file", f"no picture among {', '.join(self.names)}", url)
        return listed_row(url, **self.parts)


class _Samples:
    """Puts members of one tar together, wherever they are among `OPEN_SAMPLES` samples."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.under_way: dict[str, _Sample] = {}

    def add(self, member: Member) -> Iterator[_Sample]:
        """Take a member in; yield samples that get no more."""
        folder, slash, base = member.name.rpartition("/")
        stem, _, suffix = base.partition(".")
        key, kind = folder + slash + stem, kind_of("." + suffix)
        if key in self.under_way and kind in self.under_way[key].parts:
            yield self.under_way.pop(key)  # another sample of the same name begins
        sample = self.under_way.setdefault(key, _Sample(member.name))
        sample.names = [*sample.names, base][:NAMES_SHOWN]
        if kind is not None:
            sample.parts[kind] = f"{self.address}:{member.offset}:{member.size}"
            sample.name = member.name if kind == "picture" else sample.name
            sample.link = sample.link if member.plain else member.name
        if len(self.under_way) > OPEN_SAMPLES:
            yield self.under_way.pop(next(iter(self.under_way)))


class TarReader:
    """Reads members at `<address of the tar>:<offset>:<bytes>`, and none that is too large."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def read(self, name: str) -> bytes:
        """Return a member's bytes; raise Refused if they are too many or not there."""
        address, offset, size = name.rsplit(":", 2)
        if int(size) > self.max_bytes:
            raise Refused("too_large", f"{size} bytes in {address}")
        system, path = fsspec.core.url_to_fs(address)
        start = int(offset)
        data: bytes = (
            system.cat_file(path, start=start, end=start + int(size)) if int(size) else b""
        )
        if len(data) != int(size):
            raise Refused("missing_file", f"{address} is shorter than it was")
        return data
