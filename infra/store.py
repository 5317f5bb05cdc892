"""Folders of whole files, on a local disk or an object store, and the artifacts kept in them.

A commit is all or nothing: on a disk, write beside, fsync, rename; on an object store, one put.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from infra.claim import OWNER
from schemas.artifacts import ASIDE, STATS, Artifact
from schemas.errors import ArtifactMissing
from schemas.folder import Folder
from schemas.manifest import MANIFEST, FileDigest, Manifest, Summary

SUMMARY = "summary.json"
FILES = "files.parquet"
BEGUN = "begun.json"  # what the unfinished artifact is being made from
READ_AHEAD_BYTES = 2**20  # s3fs's own 50 MiB would fetch whole shards for a few of their rows
MANY_FILES = 1_000  # above this the manifest keeps its list of files in a Parquet beside it


def digest(data: bytes) -> FileDigest:
    """Return the size and content hash of a file's bytes."""
    return FileDigest(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class LocalFolder:
    """A folder on a disk of this machine, or one that all machines mount."""

    path: Path

    @property
    def url(self) -> str:
        """Return the absolute path."""
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
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=".uncommitted-", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(scratch, 0o644)  # mkstemp makes it readable by its owner alone
            os.replace(scratch, target)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
        _sync_directory(target.parent)
        return digest(data)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the bytes of each committed file whose name starts with `prefix`."""
        return {name: (self.path / name).stat().st_size for name in self.list(prefix)}

    def clear(self, *, keep: str = "") -> None:
        """Delete all files but `keep`, half-written ones of a killed run as well.

        What says that something is finished goes first: killed in between, nobody believes it.
        """
        _remove_claims(self)
        for parent, _, names in os.walk(self.path, topdown=False):
            for name in names:
                if (path := Path(parent) / name) != self.path / keep:
                    path.unlink(missing_ok=True)
            if not os.listdir(parent):
                os.rmdir(parent)


def _files(top: Path) -> Iterator[Path]:
    """Yield the committed files below `top`; a file that vanishes meanwhile is no error."""
    for parent, _, names in os.walk(top):
        for name in names:
            if not name.startswith(".uncommitted-"):
                yield Path(parent) / name


def _sync_directory(path: Path) -> None:
    """Make a rename inside the directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class ObjectFolder:
    """A prefix on an object store that fsspec can reach, such as s3://bucket/run."""

    address: str

    @property
    def url(self) -> str:
        """Return the address, scheme first."""
        return self.address

    @cached_property
    def _system(self) -> Any:
        # Listings of a store that others write to must not come from a cache.
        return fsspec.core.url_to_fs(self.address, use_listings_cache=False)[0]

    @cached_property
    def _base(self) -> str:
        return str(self._system._strip_protocol(self.address)).rstrip("/")

    def __getstate__(self) -> dict[str, str]:
        return {"address": self.address}  # a connection does not travel to a worker

    def open(self, name: str) -> BinaryIO:
        path = f"{self._base}/{name}"
        return cast(BinaryIO, self._system.open(path, "rb", block_size=READ_AHEAD_BYTES))

    def list(self, prefix: str = "") -> list[str]:
        top = f"{self._base}/{prefix.rpartition('/')[0]}".rstrip("/")
        try:
            found = self._system.find(top)
        except FileNotFoundError:
            return []
        names = (str(path).removeprefix(self._base + "/") for path in found)
        return sorted(name for name in names if name.startswith(prefix))

    def exists(self, name: str) -> bool:
        return bool(self._system.isfile(f"{self._base}/{name}"))

    def commit(self, name: str, data: bytes) -> FileDigest:
        self._system.pipe_file(f"{self._base}/{name}", data)
        return digest(data)

    def remove(self, name: str) -> None:
        if self.exists(name):
            self._system.rm_file(f"{self._base}/{name}")

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the bytes of each object whose name starts with `prefix`."""
        found = self._system.find(f"{self._base}/{prefix}".rstrip("/"), detail=True)
        return {p.removeprefix(self._base + "/"): entry["size"] for p, entry in found.items()}

    def clear(self, *, keep: str = "") -> None:
        """Delete every object under the prefix but `keep`; what says "finished" goes first."""
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
    text = str(url).removeprefix("file://")
    return ObjectFolder(text.rstrip("/")) if "://" in text else LocalFolder(Path(text).resolve())


@dataclass(frozen=True)
class Store:
    """Artifacts under one root, each in `<root>/<name>/<fingerprint>/`."""

    root: str

    @property
    def top(self) -> LocalFolder | ObjectFolder:
        """Return the root itself, where the summary and the newest report are."""
        return open_folder(self.root)

    def folder(self, name: str, fingerprint: str) -> LocalFolder | ObjectFolder:
        """Return where this artifact is, or will be."""
        return self.at(f"{name}/{fingerprint}")

    def at(self, address: str) -> LocalFolder | ObjectFolder:
        """Return the folder at `<name>/<fingerprint>`."""
        return open_folder(f"{self.root.rstrip('/')}/{address}")

    def manifest(self, name: str, fingerprint: str) -> Manifest | None:
        """Return the manifest, or None while the artifact is not finished."""
        return read_manifest(self.folder(name, fingerprint))

    def summary(self) -> Summary:
        """Return what the newest run said about its stages."""
        if not self.top.exists(SUMMARY):
            return Summary(stages={})
        with self.top.open(SUMMARY) as file:
            return Summary.model_validate_json(file.read())

    def newest(self, artifact: Artifact) -> Folder:
        """Return the artifact that the newest run used; raise ArtifactMissing if there is none."""
        for entry in self.summary().stages.values():
            if entry.artifact.startswith(artifact.name + "/"):
                fingerprint = entry.artifact.removeprefix(artifact.name + "/")
                if self.manifest(artifact.name, fingerprint) is not None:
                    return self.folder(artifact.name, fingerprint)
        raise ArtifactMissing(
            f"wanted a finished '{artifact.name}' under {self.root}, found none; "
            f"run `pipelines/full.py --root {self.root} --plan` to see what would make it"
        )


def read_manifest(folder: Folder) -> Manifest | None:
    """Return the folder's manifest, or None while it has none."""
    if not folder.exists(MANIFEST):
        return None
    with folder.open(MANIFEST) as file:
        return Manifest.model_validate_json(file.read())


def recorded_files(folder: Folder, manifest: Manifest) -> dict[str, FileDigest]:
    """Return every file's digest as its stage left it, also of very many."""
    if manifest.files is not None:
        return manifest.files
    with folder.open(FILES) as file:
        listed = pq.read_table(file).to_pylist()
    return {row.pop("name"): FileDigest(**row) for row in listed}


def digest_all(folder: Folder, known: dict[str, FileDigest]) -> dict[str, FileDigest]:
    """Return every committed file's digest, reading only those that are not known."""
    digests = {}
    for name in folder.list():
        if name in known:
            digests[name] = known[name]
        elif name not in (MANIFEST, FILES, BEGUN, OWNER):
            with folder.open(name) as file:
                digests[name] = digest(file.read())
    return digests


def content_of(files: dict[str, FileDigest]) -> str:
    """Return one hash of all that a reader of the artifact depends on."""
    lines = [f"{n} {d.sha256}\n" for n, d in sorted(files.items()) if not n.startswith(ASIDE)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def publish(folder: Folder, manifest: Manifest) -> None:
    """Write the manifest, last of all, which makes the artifact finished."""
    files = manifest.files or {}
    if len(files) > MANY_FILES:
        rows = [{"name": n, **d.model_dump()} for n, d in sorted(files.items())]
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        folder.commit(FILES, buffer.getvalue().to_pybytes())
        manifest = manifest.model_copy(update={"files": None})
    folder.commit(MANIFEST, manifest.model_dump_json(indent=2).encode())


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
