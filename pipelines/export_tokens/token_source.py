"""Find the token shards to export, and verify that they are complete and belong together."""

from dataclasses import dataclass

import pyarrow.parquet as pq

from pipelines.inspect_tokens.token_shards import ShardSet, target
from schemas.artifacts import TRAIN, VAL
from schemas.errors import ArtifactMissing
from schemas.tokens import TokenHeader
from stages.data.intact import require_intact
from stages.data.table import Table, open_table, readable


@dataclass(frozen=True)
class ExportSource:
    """A table per part of the artifact, and the metadata that all its shards share."""

    tables: dict[str, Table]
    header: TokenHeader

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
    where = f"{found.folder.url}/{found.names[0]}"
    with readable(where), found.folder.open(found.names[0]) as file:
        header = TokenHeader.read(pq.read_schema(file), where=where)
    if found.names[0].startswith((TRAIN, VAL)):
        parts = {part: part for part in (TRAIN, VAL)}
    else:
        parts = {"": found.names[0]}
    tables = {
        part: open_table(found.folder, names, header.schema, header.shared().text())
        for part, names in parts.items()
    }
    source = ExportSource(tables, header)
    if "" not in parts:
        _require_finished(found, source.rows)
    return source


def _require_finished(found: ShardSet, rows: int) -> None:
    if found.manifest is None:
        raise ArtifactMissing(
            f"wanted a finished artifact, found no manifest.json in {found.folder.url}; "
            "let encode finish, or name one shard"
        )
    require_intact(found.folder, found.manifest, (TRAIN, VAL), rows)
