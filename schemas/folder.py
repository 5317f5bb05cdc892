"""The one way a stage touches storage, so that a local disk and an object store are one to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from schemas.artifacts import Artifact
from schemas.errors import ArtifactMissing
from schemas.manifest import MANIFEST, FileDigest, Manifest


class Folder(Protocol):
    """A folder of whole files: a name either holds all the bytes of one commit or does not exist.

    Names are relative and use `/`. A folder can be pickled and sent to a Ray worker.
    """

    @property
    def url(self) -> str:
        """Say where the folder is, for people and logs."""

    def open(self, name: str) -> BinaryIO:
        """Open for reading, with seek; raise FileNotFoundError if it was never committed."""

    def list(self, prefix: str = "") -> list[str]:
        """Return the sorted names of committed files that start with `prefix`."""

    def exists(self, name: str) -> bool:
        """Say whether the file was committed."""

    def commit(self, name: str, data: bytes) -> FileDigest:
        """Make `data` the file's content, durably and all at once, without a rename on a store."""

    def remove(self, name: str) -> None:
        """Delete the file if it is there."""


@dataclass(frozen=True)
class Inputs:
    """The finished artifacts that a stage reads, by name."""

    folders: Mapping[str, Folder]

    def folder(self, artifact: Artifact) -> Folder:
        """Return the artifact's folder; raise ArtifactMissing if the stage did not declare it."""
        if artifact.name not in self.folders:
            raise ArtifactMissing(
                f"wanted '{artifact.name}', but the stage only reads {sorted(self.folders)}; "
                "add it to the stage's `reads` in pipelines/full.py"
            )
        return self.folders[artifact.name]

    def manifest(self, artifact: Artifact) -> Manifest:
        """Return what the stage that made the artifact left behind."""
        with self.folder(artifact).open(MANIFEST) as file:
            return Manifest.model_validate_json(file.read())
