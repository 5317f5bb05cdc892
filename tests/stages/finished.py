"""Artifacts for tests of stages that read them, made by hand, and what stages have left."""

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import rows
from schemas.artifacts import MEASURED, PAIRS, Artifact
from schemas.folder import Inputs
from schemas.manifest import MANIFEST, InputRecord, Manifest, Result
from schemas.settings import MeasureSettings
from stages.measure.pairs import MeasurePairs

FINGERPRINT, CONTENT = "0123456789ab", "ab" * 32
NOTHING = Inputs({})


def manifest(**changes) -> Manifest:
    """Return a manifest of nothing in particular."""
    fields = {
        "stage": "by_hand", "artifact": "a", "fingerprint": FINGERPRINT, "revision": 1,
        "settings": {}, "inputs": {}, "outside": {}, "content_sha256": CONTENT, "files": {},
        "rows_in": 1, "rows_out": 1, "rejects": {}, "health": {}, "seconds": 1.0,
        "rows_per_second": 1.0, "finished_at": "2026-01-01T00:00:00Z", "versions": {},
    }  # fmt: skip
    return Manifest(**fields | changes)


def finish(out, artifact: Artifact, result: Result, reads: Inputs = NOTHING, **health) -> Inputs:
    """Write the manifest that a run of the stage would end with; add it to what the stage read."""
    read = InputRecord(fingerprint=FINGERPRINT, content_sha256=CONTENT)
    made = manifest(
        artifact=artifact.name,
        inputs=dict.fromkeys(reads.folders, read),
        health={**result.health, **health},
        **{name: getattr(result, name) for name in ("files", "rows_in", "rows_out", "rejects")},
    )
    out.commit(MANIFEST, made.model_dump_json().encode())
    return Inputs({**reads.folders, artifact.name: out})


def with_scores(pairs: Inputs, out) -> Inputs:
    """Add the scores of finished pairs, made without Ray."""
    folder, work = pairs.folder(PAIRS), MeasurePairs(pairs.folder(PAIRS), MeasureSettings())
    for name in folder.list("shard-"):
        out.commit(name, work(name).files[name])
    count = pairs.manifest(PAIRS).rows_in
    return finish(out, MEASURED, Result(rows_in=count, rows_out=count), reads=pairs)


def contents(folder, prefix=""):
    """Return the bytes of all files."""
    return {name: folder.open(name).read() for name in folder.list(prefix)}


def table_of(folder, *prefixes, schema=None):
    """Join all Parquet files below the prefixes; each must have the schema."""
    names = [name for prefix in prefixes for name in folder.list(prefix)]
    tables = [pq.read_table(folder.open(name)) for name in names if name.endswith(".parquet")]
    for table in tables:
        rows.check(table.schema, schema or table.schema, where=folder.url)
    return pa.concat_tables(tables)
