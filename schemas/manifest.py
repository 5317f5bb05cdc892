"""What a finished stage leaves: the record that makes a folder of files an artifact."""

import hashlib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MANIFEST = "manifest.json"
BEGUN = "begun.json"  # what the unfinished artifact is being made from


class Record(BaseModel):
    """Base of everything we write as JSON: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileDigest(Record):
    """Size and content of one committed file."""

    bytes: int
    sha256: str


def digest(data: bytes) -> FileDigest:
    return FileDigest(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


class Result(Record):
    """What a stage's `run` returns: the numbers only the stage knows.

    `files` may name files whose digest is known already, so that they are not read again;
    `quarantined` names the shards that no worker could make, whose rows have that reason.
    """

    rows_in: int
    rows_out: int
    rejects: dict[str, int] = {}
    health: dict[str, Any] = {}
    files: dict[str, FileDigest] = {}
    quarantined: tuple[str, ...] = ()


class InputRecord(Record):
    """Which artifact was read, and the content it had."""

    fingerprint: str
    content_sha256: str


class Manifest(Record):
    """The last file written to an artifact; without it the folder is never read."""

    stage: str
    artifact: str
    fingerprint: str
    revision: int
    settings: dict[str, Any]
    inputs: dict[str, InputRecord]
    outside: dict[str, str] = Field(description="digest of every input that is not an artifact")
    content_sha256: str
    files: dict[str, FileDigest] | None = Field(
        description="every file; null when the list is in files.parquet beside the manifest"
    )
    rows_in: int
    rows_out: int
    rejects: dict[str, int]
    health: dict[str, Any]
    quarantined: tuple[str, ...] = Field((), description="shards that no worker could make")
    seconds: float
    rows_per_second: float
    finished_at: str
    versions: dict[str, str]


class StageSummary(Record):
    """One stage of the newest run, as people and tools look it up."""

    status: Literal["done", "skipped", "running", "failed"]
    artifact: str = Field(description="<name>/<fingerprint> under the root")
    rows_in: int | None = None
    rows_out: int | None = None
    rejects: dict[str, int] = {}
    quarantined: tuple[str, ...] = Field((), description="shards that no worker could make")
    seconds: float | None = None


class Summary(Record):
    """The file `<root>/summary.json`, rewritten as stages go."""

    stages: dict[str, StageSummary]
