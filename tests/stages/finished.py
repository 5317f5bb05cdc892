"""Artifacts for tests of stages that read them, made by hand."""

from schemas.artifacts import Artifact
from schemas.folder import Inputs
from schemas.manifest import MANIFEST, Manifest, Result


def finish(out, artifact: Artifact, result: Result, **health) -> Inputs:
    """Write the manifest that a run of the stage would end with; return it as an input."""
    manifest = Manifest(
        stage="by_hand",
        artifact=artifact.name,
        fingerprint="0123456789ab",
        revision=1,
        settings={},
        inputs={},
        outside={},
        content_sha256="ab" * 32,
        files=result.files,
        rows_in=result.rows_in,
        rows_out=result.rows_out,
        rejects=result.rejects,
        health={**result.health, **health},
        seconds=1.0,
        rows_per_second=1.0,
        finished_at="2026-01-01T00:00:00Z",
        versions={},
    )
    out.commit(MANIFEST, manifest.model_dump_json().encode())
    return Inputs({artifact.name: out})
