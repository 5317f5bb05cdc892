"""Artifacts under a root; one is finished when its manifest, written last, is there."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from infra.claim import OWNER
from infra.folders import LocalFolder, ObjectFolder, open_folder
from infra.nearby import SUMMARY, require_run
from schemas.artifacts import ASIDE, Artifact
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from schemas.machine_speed import SPEED, MachineSpeed
from schemas.manifest import BEGUN, MANIFEST, FileDigest, Manifest, Summary, digest

FILES = "files.parquet"
Model = TypeVar("Model", bound=BaseModel)
MANY_FILES = 1_000  # above this the list of files is in a Parquet file beside the manifest


@dataclass(frozen=True)
class Store:
    """Artifacts under one root, each in `<root>/<name>/<fingerprint>/`."""

    root: str

    @property
    def top(self) -> LocalFolder | ObjectFolder:
        """The root itself, with the summary and the newest report."""
        return open_folder(self.root)

    def folder(self, name: str, fingerprint: str) -> LocalFolder | ObjectFolder:
        return self.at(f"{name}/{fingerprint}")

    def at(self, address: str) -> LocalFolder | ObjectFolder:
        return open_folder(f"{self.root.rstrip('/')}/{address}")

    def manifest(self, name: str, fingerprint: str) -> Manifest | None:
        return read_manifest(self.folder(name, fingerprint))

    def summary(self) -> Summary:
        return _read(Summary, self.top, SUMMARY, "a run's") or Summary(stages={})

    def speed(self) -> MachineSpeed | None:
        """Return the speed that sizes in this root go by, if one was recorded."""
        return _read(MachineSpeed, self.top, SPEED, "a machine's")

    def record_speed(self, measured: MachineSpeed) -> MachineSpeed:
        """Record a speed unless there is one; return the recorded one."""
        self.top.commit_new(SPEED, measured.model_dump_json(indent=2).encode() + b"\n")
        return self.speed() or measured

    def newest(self, artifact: Artifact) -> Folder:
        """Return the artifact that the newest run used; raise ArtifactMissing if there is none."""
        require_run(self.top)
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
    return _read(Manifest, folder, MANIFEST, "an artifact's")


def _read(model: type[Model], folder: Folder, name: str, whose: str) -> Model | None:
    """Return what a file says, if it is there; raise SchemaMismatch for a foreign or broken one."""
    if not folder.exists(name):
        return None
    with folder.open(name) as file:
        data = file.read()
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = " ".join(error.errors()[0]["msg"].split())[:200]
        raise SchemaMismatch(
            f"wanted {whose} {name} in {folder.url}, found another file of that name ({first}); "
            "give another folder, or move that file away"
        ) from None


def recorded_files(folder: Folder, manifest: Manifest) -> dict[str, FileDigest]:
    if manifest.files is not None:
        return manifest.files
    with folder.open(FILES) as file:
        listed = pq.read_table(file).to_pylist()
    return {row.pop("name"): FileDigest(**row) for row in listed}


def digest_all(folder: Folder, known: dict[str, FileDigest]) -> dict[str, FileDigest]:
    """Return every committed file's digest; only those not in `known` are read."""
    digests = {}
    for name in folder.list():
        if name in known:
            digests[name] = known[name]
        elif name not in (MANIFEST, FILES, BEGUN, OWNER):
            with folder.open(name) as file:
                digests[name] = digest(file.read())
    return digests


def content_of(files: dict[str, FileDigest]) -> str:
    """Hash all files that readers of the artifact depend on."""
    lines = [f"{n} {d.sha256}\n" for n, d in sorted(files.items()) if not n.startswith(ASIDE)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def publish(folder: Folder, manifest: Manifest) -> None:
    """Write the manifest, which makes the artifact finished."""
    files = manifest.files or {}
    if len(files) > MANY_FILES:
        rows = [{"name": n, **d.model_dump()} for n, d in sorted(files.items())]
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        folder.commit(FILES, buffer.getvalue().to_pybytes())
        manifest = manifest.model_copy(update={"files": None})
    folder.commit(MANIFEST, manifest.model_dump_json(indent=2).encode())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
