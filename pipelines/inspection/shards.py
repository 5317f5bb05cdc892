"""Where token shards are, and what the end of each file says of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.store import Store, open_folder, read_manifest
from schemas import rows
from schemas.artifacts import TOKEN_PAIRS, TRAIN, VAL
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from schemas.manifest import MANIFEST, Manifest
from schemas.tokens import TokenHeader

UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, SchemaMismatch)
FILES_AT_ONCE = 16  # an object store answers slowly, but many at once


@dataclass(frozen=True)
class Target:
    """The shards to look at, and the root that holds what they were made with, if known."""

    folder: Folder
    names: list[str]
    store: Store | None
    whole: bool = True  # all shards of the folder, not one that was asked for

    def beside(self, name: str, fingerprint: str | None) -> Folder | None:
        """Return a finished artifact of the same root, or None if it is not there."""
        if self.store is None or not fingerprint:
            return None
        folder = self.store.folder(name, fingerprint)
        return folder if folder.exists(MANIFEST) else None

    @cached_property
    def manifest(self) -> Manifest | None:
        """What encode said about them, if they lie in a finished artifact."""
        return read_manifest(self.folder)


def target(address: str) -> Target:
    """Find shards at a root, an artifact's folder or a file; raise ArtifactMissing if none.

    An artifact need not be finished: what is committed is shown.
    """
    if address.endswith(".parquet"):
        return _one_file(address)
    folder = open_folder(address)
    names = _shards(folder)
    if names:
        return Target(folder, names, _store(folder.url, levels=2))
    store = Store(folder.url)
    newest = store.newest(TOKEN_PAIRS)
    return Target(newest, _shards(newest), store)


def _one_file(address: str) -> Target:
    url, _, name = open_folder(address).url.rpartition("/")
    if not open_folder(url).exists(name):
        raise ArtifactMissing(f"wanted a token shard, found no file at {address}")
    above, _, part = url.rpartition("/")
    store = _store(url, levels=3)
    if store is not None:  # its name is as the artifact's manifest has it
        return Target(open_folder(above), [f"{part}/{name}"], store, whole=False)
    return Target(open_folder(url), [name], None, whole=False)


def _shards(folder: Folder) -> list[str]:
    return [n for part in (TRAIN, VAL) for n in folder.list(part) if n.endswith(".parquet")]


def _store(url: str, *, levels: int) -> Store | None:
    """Go up from `<root>/token_pairs/<fingerprint>[/train]`; None if that is not where we are."""
    parts = url.split("/")
    return Store("/".join(parts[:-levels])) if parts[-levels:][:1] == [TOKEN_PAIRS.name] else None


@dataclass(frozen=True)
class Shard:
    """What the end of a file says of the rows in it."""

    name: str
    rows: int
    bytes: int
    image_bytes: int  # of the codes' column, compressed
    schema: pa.Schema
    header: TokenHeader


@dataclass(frozen=True)
class Shards:
    """The files that can be looked into, and why the others cannot."""

    good: list[Shard]
    broken: dict[str, str]  # name -> why

    @property
    def rows(self) -> int:
        """Rows of all good shards."""
        return sum(shard.rows for shard in self.good)

    def without(self, broken: Mapping[str, str]) -> "Shards":
        """Return what is left when more turn out to be broken."""
        good = [shard for shard in self.good if shard.name not in broken]
        return replace(self, good=good, broken={**self.broken, **broken})


def look(found: Target) -> Shards:
    """Read the end of every file; name those that cannot be read, or that are not like the most."""
    broken: dict[str, str] = {}

    def look_at(name: str) -> Shard | None:
        try:
            return _footer(found.folder, name)
        except UNREADABLE as error:
            broken[name] = why(error)
        return None

    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        read = [shard for shard in threads.map(look_at, found.names) if shard is not None]
    return _alike(read, broken)


def why(error: BaseException) -> str:
    """Say in one line what is wrong with a file."""
    said = (str(error).splitlines() or [""])[0][:200]
    return said if isinstance(error, SchemaMismatch) else f"{type(error).__name__}: {said}"


def _footer(folder: Folder, name: str) -> Shard:
    with folder.open(name) as file:
        size = file.seek(0, 2)
        with pq.ParquetFile(file) as table:
            footer, schema = table.metadata, table.schema_arrow
    header = TokenHeader.read(schema, where=name)
    rows.check(schema, header.schema, where=name)
    return Shard(name, footer.num_rows, size, _image_bytes(footer), schema, header)


def _image_bytes(footer: pq.FileMetaData) -> int:
    columns = [
        footer.row_group(group).column(number)
        for group in range(footer.num_row_groups)
        for number in range(footer.num_columns)
    ]
    return sum(c.total_compressed_size for c in columns if c.path_in_schema.startswith("image."))


def _alike(read: list[Shard], broken: dict[str, str]) -> Shards:
    """Keep the shards that were made as the most were."""
    if not read:
        return Shards([], broken)
    ((usual, _),) = Counter(shard.header.shared() for shard in read).most_common(1)
    for shard in read:
        if differ := shard.header.differences(usual):
            broken[shard.name] = "; ".join(
                f"{key} is {have}, most shards have {want}" for key, (have, want) in differ.items()
            )
    return Shards([shard for shard in read if shard.name not in broken], broken)


def row_groups(
    folder: Folder, name: str, columns: Sequence[str] | None = None, *, first: int = 0
) -> Iterator[pa.Table]:
    """Yield a shard's rows, one row group in memory at a time, with its pages' checksums tested."""
    with (
        folder.open(name) as file,
        pq.ParquetFile(file, page_checksum_verification=True) as table,
    ):
        for group in range(first, table.num_row_groups):
            yield table.read_row_group(group, columns, use_threads=False)


def some_rows(folder: Folder, shards: list[Shard], count: int) -> Iterator[dict[str, Any]]:
    """Yield about `count` rows with their `shard`, spread over the shards, a few from each."""
    filled = [shard for shard in shards if shard.rows]
    chosen = filled[:: max(1, len(filled) // max(1, count))]
    each = -(-count // max(1, len(chosen)))
    left = count
    for shard in chosen:
        group = next(row_groups(folder, shard.name)).slice(0, min(each, left))
        left -= len(group)
        for row in group.to_pylist():
            yield row | {"shard": shard.name, "source_shard": shard.header.source_shard}
