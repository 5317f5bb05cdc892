"""A digest of what a source holds, by which a finished crawl is known to be of it."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import fsspec

from schemas.configs import SourceSettings
from stages.crawl.sources import list_files
from stages.crawl.sources.folder import folder_files
from stages.crawl.sources.tars import tar_files

AT_ONCE = 1_000  # files given to the threads: the promise of a digest is larger than the digest


def files_of(source: SourceSettings) -> list[tuple[str, str]]:
    """Return the name and the address of every file of the source, in order."""
    if source.kind == "folder":
        system, top, names = folder_files(source)
        return [(name, system.unstrip_protocol(f"{top}/{name}")) for name in names]
    if source.kind == "tars":
        return tar_files(source)
    return [(file.rpartition("/")[2], file) for file in list_files(source)]


def content_of(files: Sequence[tuple[str, str]]) -> str:
    """Return one hash of the names and the bytes of all files."""
    total = hashlib.sha256()
    with ThreadPoolExecutor(16) as threads:  # an object store answers slowly, but many at once
        for start in range(0, len(files), AT_ONCE):
            some = files[start : start + AT_ONCE]
            digests = threads.map(_digest, [address for _, address in some])
            for (name, _), content in zip(some, digests, strict=True):
                line = f"{name} {content}\n"
                total.update(line.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _digest(address: str) -> str:
    try:
        with fsspec.open(address, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:  # a link that leads nowhere: its row will say so
        return type(error).__name__
