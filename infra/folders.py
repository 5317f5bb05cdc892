"""Folders of whole files, on a local disk or an object store.

A commit is all or nothing: on a disk, write beside, fsync, rename; on an object store, one put.
Any error of a disk or a store becomes one sentence, in whichever process it happens.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from infra.paths import is_remote, normal
from schemas.artifacts import STATS
from schemas.errors import StorageFailed, of_storage
from schemas.folder import Folder
from schemas.manifest import BEGUN, MANIFEST, FileDigest, digest

READ_AHEAD_BYTES = 2**20  # s3fs's own 50 MiB would fetch whole shards for a few of their rows


@contextmanager
def _one_sentence(wanted: str, *, finds: bool = True, writes: bool = False) -> Iterator[None]:
    """Raise any storage error as StorageFailed, except a missing file if `finds`.

    If it `writes`, the sentence adds that finished work is kept.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, StorageFailed) or (finds and isinstance(error, FileNotFoundError)):
            raise
        kept = ": finished work is kept" if writes else ""
        raise StorageFailed(
            f"wanted to {wanted}, but that failed ({of_storage(error)}); fix that and run the "
            f"same command again{kept}"
        ) from error


@dataclass(frozen=True)
class LocalFolder:
    """A folder on a disk of this machine, or one that all machines mount."""

    path: Path

    @property
    def url(self) -> str:
        return str(self.path)

    def open(self, name: str) -> BinaryIO:
        return (self.path / name).open("rb")

    def list(self, prefix: str = "") -> list[str]:
        top = self.path / prefix.rpartition("/")[0]
        found = (p.relative_to(self.path).as_posix() for p in _files(top))
        return sorted(name for name in found if name.startswith(prefix))

    def exists(self, name: str) -> bool:
        return (self.path / name).is_file()

    def commit(self, name: str, data: bytes) -> FileDigest:
        with _one_sentence(f"write {name} into {self.url}", finds=False, writes=True):
            _write(self.path / name, data)
        return digest(data)

    def commit_new(self, name: str, data: bytes) -> None:
        """Commit a file unless there is one; whoever comes first wins."""
        with _one_sentence(f"write {name} into {self.url}", finds=False, writes=True):
            _write(self.path / name, data, new=True)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the bytes of each committed file whose name starts with `prefix`."""
        return {name: (self.path / name).stat().st_size for name in self.list(prefix)}

    def clear(self, *, keep: str = "") -> None:
        """Delete all files but `keep`, also half-written ones of a killed run.

        The files that mark it as finished go first, so a kill in between leaves it unfinished.
        """
        _remove_claims(self)
        for parent, _, names in os.walk(self.path, topdown=False):
            for name in names:
                if (path := Path(parent) / name) != self.path / keep:
                    path.unlink(missing_ok=True)
            if not os.listdir(parent):
                os.rmdir(parent)


def _files(top: Path) -> Iterator[Path]:
    """Yield the committed files below `top`; files may vanish meanwhile."""
    for parent, _, names in os.walk(top):
        for name in names:
            if not name.startswith(".uncommitted-"):
                yield Path(parent) / name


def _write(target: Path, data: bytes, *, new: bool = False) -> None:
    """Write beside the target and rename, so that even a power cut leaves all of it or nothing.

    What is `new` replaces no file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=".uncommitted-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, 0o644)  # mkstemp makes it readable by its owner alone
        if new:
            with suppress(FileExistsError):
                os.link(scratch, target)
            os.unlink(scratch)
        else:
            os.replace(scratch, target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@dataclass(frozen=True)
class ObjectFolder:
    """A prefix on an object store that fsspec can reach, such as s3://bucket/run."""

    url: str

    @cached_property
    def system(self) -> Any:
        """The fsspec file system; missing packages or keys are noticed here first."""
        with _one_sentence(f"reach {self.url}", finds=False):
            # No listing may come from a cache, for other processes write to the store.
            return fsspec.core.url_to_fs(self.url, use_listings_cache=False)[0]

    @cached_property
    def base(self) -> str:
        """The address in the file system's own form: bucket/path."""
        return str(self.system._strip_protocol(self.url)).rstrip("/")

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url}  # a connection cannot be sent to a worker

    def open(self, name: str) -> BinaryIO:
        path = f"{self.base}/{name}"
        with _one_sentence(f"read {name} in {self.url}"):
            return cast(BinaryIO, self.system.open(path, "rb", block_size=READ_AHEAD_BYTES))

    def list(self, prefix: str = "") -> list[str]:
        top = f"{self.base}/{prefix.rpartition('/')[0]}".rstrip("/")
        try:
            with _one_sentence(f"list {self.url}"):
                found = self.system.find(top)
        except FileNotFoundError:
            return []
        names = (str(path).removeprefix(self.base + "/") for path in found)
        return sorted(name for name in names if name.startswith(prefix))

    def exists(self, name: str) -> bool:
        try:  # isfile() would return False for any failure
            with _one_sentence(f"look for {name} in {self.url}"):
                return bool(self.system.info(f"{self.base}/{name}")["type"] == "file")
        except FileNotFoundError:
            return False

    def commit(self, name: str, data: bytes) -> FileDigest:
        with _one_sentence(f"write {name} into {self.url}", finds=False, writes=True):
            self.system.pipe_file(f"{self.base}/{name}", data)
        return digest(data)

    def commit_new(self, name: str, data: bytes) -> None:
        """Put an object unless there is one; whoever comes first wins."""
        with (
            _one_sentence(f"write {name} into {self.url}", writes=True),
            suppress(FileExistsError),
        ):
            self.system.pipe_file(f"{self.base}/{name}", data, mode="create")

    def remove(self, name: str) -> None:
        if self.exists(name):
            self.system.rm_file(f"{self.base}/{name}")

    def sizes(self, prefix: str) -> dict[str, int]:
        found = self.system.find(f"{self.base}/{prefix}".rstrip("/"), detail=True)
        return {p.removeprefix(self.base + "/"): entry["size"] for p, entry in found.items()}

    def clear(self, *, keep: str = "") -> None:
        """Delete every object but `keep`; the files that mark it as finished go first."""
        _remove_claims(self)
        for name in self.list():
            if name != keep:
                self.remove(name)


def _remove_claims(folder: Folder) -> None:
    for name in (MANIFEST, BEGUN):
        folder.remove(name)
    for name in folder.list(STATS):
        folder.remove(name)


def open_folder(url: str | Path) -> LocalFolder | ObjectFolder:
    """Return the folder at a path, a file:// address or an object-store address."""
    text = normal(str(url))
    return ObjectFolder(text) if is_remote(text) else LocalFolder(Path(os.path.realpath(text)))
