"""Find the token shards to export, and verify that they are complete and belong together."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.inspect_tokens.token_shards import ShardSet, target, text_metadata
from schemas import rows
from schemas.artifacts import TRAIN, VAL
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from stages.data.intact import require_intact
from stages.data.table import Table, open_table, readable

SIZES = ("text_len", "grid")


@dataclass(frozen=True)
class ExportSource:
    """A table per part of the artifact, and the metadata that all its shards share."""

    tables: dict[str, Table]
    metadata: dict[str, str]
    schema: pa.Schema

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


def find(address: str) -> ExportSource:
    """Open the shards at a root, an artifact or a file; raise UserError if one is broken.

    The parts of an artifact are train/ and val/; a single file is one part without a name.
    """
    found = target(address)
    if not found.names:
        raise ArtifactMissing(f"wanted token shards at {address}, found none; run encode")
    metadata = _metadata(found.folder, found.names[0])
    schema = rows.token_pair(**{name: int(metadata[name]) for name in SIZES})
    if found.names[0].startswith((TRAIN, VAL)):
        parts = {part: part for part in (TRAIN, VAL)}
    else:
        parts = {"": found.names[0]}
    tables = {
        part: open_table(found.folder, names, schema, metadata) for part, names in parts.items()
    }
    source = ExportSource(tables, metadata, schema)
    if "" not in parts:
        _require_finished(found, source.rows)
    return source


def _metadata(folder: Folder, name: str) -> dict[str, str]:
    """Return the metadata that a shard shares with the others."""
    where = f"{folder.url}/{name}"
    with readable(where), folder.open(name) as file:
        metadata = text_metadata(pq.read_schema(file))
    for size in SIZES:
        if not metadata.get(size, "").isdecimal():
            raise SchemaMismatch(
                f"{where}: wanted a token shard, whose metadata has a number for {size}, found "
                f"{metadata.get(size, 'nothing')}; name a shard that encode made"
            )
    return {key: value for key, value in metadata.items() if key not in rows.OF_ONE_FILE}


def _require_finished(found: ShardSet, rows: int) -> None:
    if found.manifest is None:
        raise ArtifactMissing(
            f"wanted a finished artifact, found no manifest.json in {found.folder.url}; "
            "let encode finish, or name one shard"
        )
    require_intact(found.folder, found.manifest, (TRAIN, VAL), rows)
