"""The token shards that are to be exported, known to be whole and of one making."""

from dataclasses import dataclass

import pyarrow.parquet as pq

from pipelines.inspection.shards import Target, target
from schemas.artifacts import TRAIN, VAL
from schemas.errors import ArtifactMissing
from schemas.tokens import TokenHeader
from stages.training.intact import require_intact
from stages.training.table import Table, open_table, readable


@dataclass(frozen=True)
class Source:
    """Tables by the part of the artifact they are, and what all their shards say of themselves."""

    tables: dict[str, Table]
    header: TokenHeader

    @property
    def rows(self) -> int:
        """Rows in all parts."""
        return sum(table.rows for table in self.tables.values())


def find(address: str) -> Source:
    """Open the shards at a root, an artifact or a file. Raises UserError if any is not as promised.

    The parts of a whole artifact are train/ and val/, that of a single file has no name.
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
    source = Source(tables, header)
    if "" not in parts:
        _require_finished(found, source.rows)
    return source


def _require_finished(found: Target, rows: int) -> None:
    if found.manifest is None:
        raise ArtifactMissing(
            f"wanted a finished artifact, found no manifest.json in {found.folder.url}; "
            "let encode finish, or name one shard"
        )
    require_intact(found.folder, found.manifest, (TRAIN, VAL), rows)
