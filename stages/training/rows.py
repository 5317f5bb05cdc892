"""Rows of a finished table, handed to a training worker batch by batch, prepared ahead of time.

Reads whole Parquet row groups through the artifact's folder, one window of them at a time, and
one window ahead. See `order` for which rows a batch has.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import rows
from schemas.configs import FitSettings
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from stages.training.order import WINDOW_ROWS, Order, Window, local_positions
from stages.training.task import Place

Columns = dict[str, np.ndarray]  # one entry per row; fixed-size lists as (rows, length)
Ready = TypeVar("Ready")

FOOTERS_AT_ONCE = 16  # files opened at the same time: an object store answers slowly, not serially


@dataclass(frozen=True)
class Group:
    """One row group of one file."""

    file: str
    number: int
    rows: int


@dataclass(frozen=True)
class Table:
    """Where the rows of an artifact's part are, without the rows."""

    folder: Folder
    groups: tuple[Group, ...]

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(group.rows for group in self.groups)


def open_table(
    folder: Folder, part: str, schema: pa.Schema, metadata: Mapping[str, str] | None = None
) -> Table:
    """Look into every file of `part` and check that it is what its readers were promised.

    Raises SchemaMismatch for a file with other columns, unreadable, or made from something other
    than `metadata` says.
    """
    files = [name for name in folder.list(part) if name.endswith(".parquet")]

    def look(name: str) -> list[Group]:
        where = f"{folder.url}/{name}"
        with readable(where), pq.ParquetFile(folder.open(name)) as file:
            footer, found = file.metadata, file.schema_arrow
        rows.check(found, schema, where=where)
        _check_metadata(found.metadata or {}, metadata or {}, where=where)
        sizes = [footer.row_group(n).num_rows for n in range(footer.num_row_groups)]
        return [Group(name, n, size) for n, size in enumerate(sizes) if size]

    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        groups = tuple(group for found in pool.map(look, files) for group in found)
    return Table(folder, groups)


def require_rows(table: Table, part: str) -> Table:
    """Return the table; raise ArtifactMissing if it has no row to learn from."""
    if table.rows:
        return table
    raise ArtifactMissing(
        f"wanted rows to learn from in {table.folder.url}/{part}, found none; "
        "see why rows were dropped in the manifests of the stages before"
    )


@dataclass(frozen=True)
class readable:  # a word, because it is used as one: `with readable(...)`
    """Turn what a broken file raises into a SchemaMismatch."""

    where: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, pa.ArrowException | OSError):
            raise SchemaMismatch(
                f"{self.where} cannot be read ({error}); delete it and make it again with its stage"
            ) from error


def _check_metadata(found: Mapping[bytes, bytes], wanted: Mapping[str, str], *, where: str) -> None:
    for key, value in wanted.items():
        have = found.get(key.encode(), b"nothing").decode()
        if have != value:
            raise SchemaMismatch(
                f"{where}: wanted {key} {value}, found {have}; it was made from another input, "
                "make it again with its stage"
            )


def read(table: Table, groups: Sequence[int], columns: Sequence[str]) -> Columns:
    """Return the rows of some row groups, in that order."""
    parts: list[pa.Table] = []
    files: dict[str, pq.ParquetFile] = {}
    try:
        for group in (table.groups[number] for number in groups):
            with readable(f"{table.folder.url}/{group.file}"):
                if group.file not in files:
                    files[group.file] = pq.ParquetFile(table.folder.open(group.file))
                parts.append(files[group.file].read_row_group(group.number, columns=list(columns)))
    finally:
        for file in files.values():
            file.close(force=True)
    joined = pa.concat_tables(parts)
    return {name: _to_numpy(joined[name]) for name in columns}


def _to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_fixed_size_list(column.type):
        return rows.matrix(column)
    return column.to_numpy()


def first(table: Table, columns: Sequence[str], count: int) -> Columns:
    """Return up to `count` rows from the start: any prefix of a table is a fair sample of it."""
    groups: list[int] = []
    filled = 0
    for number, group in enumerate(table.groups):
        if filled >= count:
            break
        groups.append(number)
        filled += group.rows
    return {name: values[:count] for name, values in read(table, groups, columns).items()}


@dataclass(frozen=True)
class _Loaded:
    window: Window
    columns: Columns

    def take(self, positions: np.ndarray) -> Columns:
        """Return the rows at these positions of the stream, and the epoch each is seen in."""
        places = positions - self.window.start
        taken = {name: values[places] for name, values in self.columns.items()}
        return taken | {"epoch": np.full(len(places), self.window.epoch)}


def _load(table: Table, window: Window, columns: Sequence[str]) -> _Loaded:
    groups, where = np.unique(window.groups, return_inverse=True)
    starts = np.cumsum([0] + [table.groups[group].rows for group in groups])
    found = read(table, groups.tolist(), columns)
    order = starts[where] + window.rows
    return _Loaded(window, {name: values[order] for name, values in found.items()})


def _loaded_windows(
    table: Table, order: Order, columns: Sequence[str], position: int
) -> Iterator[_Loaded]:
    """Yield windows of rows; the next one loads while this one is used."""
    with ThreadPoolExecutor(1) as reader:
        windows = order.windows(position)
        ahead = reader.submit(_load, table, next(windows), columns)
        while True:
            loaded = ahead.result()
            ahead = reader.submit(_load, table, next(windows), columns)
            yield loaded


def batches(
    table: Table,
    columns: Sequence[str],
    *,
    seed: int,
    batch_size: int,
    step: int = 0,
    rank: int = 0,
    world: int = 1,
    window_rows: int = WINDOW_ROWS,
) -> Iterator[Columns]:
    """Yield this worker's rows of global batch `step` and all that follow.

    Beside `columns` there is `epoch`, the epoch in which each row is seen.
    """
    order = Order([group.rows for group in table.groups], seed, window_rows)
    windows = _loaded_windows(table, order, columns, step * batch_size)
    current = next(windows)
    while True:
        positions = local_positions(step, batch_size, rank=rank, world=world)
        parts = []
        while positions[-1] >= current.window.stop:
            parts.append(current.take(positions[positions < current.window.stop]))
            positions = positions[positions >= current.window.stop]
            current = next(windows)
        parts.append(current.take(positions))
        yield {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        step += 1


def prepared_batches(
    table: Table,
    columns: Sequence[str],
    prepare: Callable[[Columns], Ready],
    *,
    fit: FitSettings,
    step: int,
    place: Place,
    threads: int,
    depth: int,
) -> Iterator[Ready]:
    """Yield a worker's batches of a run from `step` on, prepared `depth` ahead in `threads`."""
    raw = batches(
        table,
        columns,
        seed=fit.seed,
        batch_size=fit.batch_size,
        step=step,
        rank=place.rank,
        world=place.world,
    )
    return prepare_ahead(raw, prepare, threads=threads, depth=depth)


def prepare_ahead(
    raw: Iterator[Columns], prepare: Callable[[Columns], Ready], *, threads: int, depth: int
) -> Iterator[Ready]:
    """Apply `prepare` in threads, `depth` batches ahead of the one in use, keeping their order."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Ready]] = deque()
        try:
            for columns in raw:
                waiting.append(pool.submit(prepare, columns))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
