"""The row groups of a finished table, checked against what their reader was promised."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import rows
from schemas.artifacts import TRAIN, VAL
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from stages.threads import in_threads

PRIOR_VALIDATION_ROWS = 1_024  # that a prior is measured on, and what the report sets beside it
Columns = dict[str, np.ndarray]  # one entry per row; fixed-size lists as (rows, length)


@dataclass(frozen=True)
class RowGroup:
    """One row group of one file."""

    file: str
    number: int
    rows: int


@dataclass(frozen=True)
class Table:
    """Where the rows of an artifact's part are, without the rows."""

    folder: Folder
    groups: tuple[RowGroup, ...]

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.groups)

    def read(self, number: int, columns: Sequence[str]) -> Columns:
        """Return the rows of one row group; raise SchemaMismatch if they are damaged."""
        group = self.groups[number]
        with (
            readable(f"{self.folder.url}/{group.file}"),
            self.folder.open(group.file) as source,
            pq.ParquetFile(source, page_checksum_verification=True) as file,
        ):
            # without Arrow's threads: where one outlives the interpreter, it aborts the process
            found = file.read_row_group(group.number, columns=list(columns), use_threads=False)
        return {name: _to_numpy(found[name]) for name in columns}


def open_table(
    folder: Folder, part: str, schema: pa.Schema, metadata: Mapping[str, str] | None = None
) -> Table:
    """Read the footer of every file of `part`.

    Raises SchemaMismatch for a file that is unreadable, or has other columns or metadata.
    """
    files = [name for name in folder.list(part) if name.endswith(".parquet")]

    def look(name: str) -> list[RowGroup]:
        where = f"{folder.url}/{name}"
        with readable(where), folder.open(name) as source, pq.ParquetFile(source) as file:
            footer, found = file.metadata, file.schema_arrow
        rows.check(found, schema, where=where)
        _check_metadata(found.metadata or {}, metadata or {}, where=where)
        sizes = [footer.row_group(n).num_rows for n in range(footer.num_row_groups)]
        return [RowGroup(name, n, size) for n, size in enumerate(sizes) if size]

    return Table(folder, tuple(chain.from_iterable(in_threads(look, files))))


def open_splits(
    folder: Folder, schema: pa.Schema, metadata: Mapping[str, str] | None = None
) -> tuple[Table, Table]:
    """Open the rows to learn from, and those to validate with: the same where val is empty.

    Raises ArtifactMissing if there is no row to learn from.
    """
    train = require_rows(open_table(folder, TRAIN, schema, metadata), TRAIN)
    val = open_table(folder, VAL, schema, metadata)
    return train, val if val.rows else train


def require_rows(table: Table, part: str) -> Table:
    """Return the table; raise ArtifactMissing if it has no row to learn from."""
    if table.rows:
        return table
    raise ArtifactMissing(
        f"wanted rows to learn from in {table.folder.url}/{part}, found none; "
        "see why rows were dropped in the manifests of the stages before"
    )


def first(table: Table, columns: Sequence[str], count: int) -> Columns:
    """Return up to `count` rows from the start, a fair sample of the table as any prefix is."""
    parts: list[Columns] = []
    filled = 0
    for number, group in enumerate(table.groups):
        if filled < count:
            parts.append(table.read(number, columns))
            filled += group.rows
    return {name: np.concatenate([part[name] for part in parts])[:count] for name in columns}


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn what a broken file raises into a SchemaMismatch."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise SchemaMismatch(
            f"{where} cannot be read ({error}); put back a good copy, or make it again: "
            "run its stage with --force"
        ) from error


def _check_metadata(found: Mapping[bytes, bytes], wanted: Mapping[str, str], *, where: str) -> None:
    for key, value in wanted.items():
        have = found.get(key.encode(), b"nothing").decode()
        if have != value:
            raise SchemaMismatch(
                f"{where}: wanted {key} {value}, found {have}; it was made from another input, "
                "make it again with its stage"
            )


def _to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_fixed_size_list(column.type):
        return rows.matrix(column)
    return column.to_numpy()
