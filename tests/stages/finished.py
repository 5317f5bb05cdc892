"""Artifacts for tests of stages that read them, made by hand."""

from schemas.artifacts import MEASURED, PAIRS, Artifact
from schemas.folder import Inputs
from schemas.manifest import MANIFEST, InputRecord, Manifest, Result
from schemas.settings import MeasureSettings
from stages.measure.pairs import MeasurePairs

FINGERPRINT, CONTENT = "0123456789ab", "ab" * 32
NOTHING = Inputs({})


def finish(out, artifact: Artifact, result: Result, reads: Inputs = NOTHING, **health) -> Inputs:
    """Write the manifest that a run of the stage would end with; add it to what the stage read."""
    manifest = Manifest(
        stage="by_hand",
        artifact=artifact.name,
        fingerprint=FINGERPRINT,
        revision=1,
        settings={},
        inputs={
            name: InputRecord(fingerprint=FINGERPRINT, content_sha256=CONTENT)
            for name in reads.folders
        },
        outside={},
        content_sha256=CONTENT,
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
    return Inputs({**reads.folders, artifact.name: out})


def with_scores(pairs: Inputs, out) -> Inputs:
    """Add the scores of finished pairs, made without Ray."""
    folder, work = pairs.folder(PAIRS), MeasurePairs(pairs.folder(PAIRS), MeasureSettings())
    for name in folder.list("shard-"):
        out.commit(name, work(name).files[name])
    rows = pairs.manifest(PAIRS).rows_in
    return finish(out, MEASURED, Result(rows_in=rows, rows_out=rows), reads=pairs)
