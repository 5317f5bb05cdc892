"""Find token shards, and read their footers and rows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.folders import open_folder
from infra.store import Store, read_manifest
from schemas import rows
from schemas.artifacts import TOKEN_PAIRS, TRAIN, VAL
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from schemas.manifest import MANIFEST, Manifest
from schemas.tokens import TokenHeader
from stages.data import parquet
from stages.threads import in_threads

row_groups = partial(parquet.row_groups, checksums=True)  # of shards, which have them

UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, SchemaMismatch)


@dataclass(frozen=True)
class ShardSet:
    """The shards at an address, and the root with the artifacts they were made from, if known."""

    folder: Folder
    names: list[str]
    store: Store | None
    whole: bool = True  # all shards of the folder, not a single one

    def beside(self, name: str, fingerprint: str | None) -> Folder | None:
        """Return a finished artifact of the same root, or None if it is not there."""
        if self.store is None or not fingerprint:
            return None
        folder = self.store.folder(name, fingerprint)
        return folder if folder.exists(MANIFEST) else None

    @cached_property
    def manifest(self) -> Manifest | None:
        return read_manifest(self.folder)


def target(address: str) -> ShardSet:
    """Find shards at a root, an artifact's folder (finished or not) or a file.

    Raises ArtifactMissing if there are none.
    """
    if address.endswith(".parquet"):
        return _one_file(address)
    folder = open_folder(address)
    names = shard_names(folder)
    if names:
        return ShardSet(folder, names, _store(folder.url, levels=2))
    store = Store(folder.url)
    newest = store.newest(TOKEN_PAIRS)
    return ShardSet(newest, shard_names(newest), store)


def _one_file(address: str) -> ShardSet:
    url, _, name = open_folder(address).url.rpartition("/")
    if not open_folder(url).exists(name):
        raise ArtifactMissing(f"wanted a token shard, found no file at {address}")
    above, _, part = url.rpartition("/")
    store = _store(url, levels=3)
    if store is not None:  # named as in the artifact's manifest
        return ShardSet(open_folder(above), [f"{part}/{name}"], store, whole=False)
    return ShardSet(open_folder(url), [name], None, whole=False)


def shard_names(folder: Folder) -> list[str]:
    return [n for part in (TRAIN, VAL) for n in folder.list(part) if n.endswith(".parquet")]


def _store(url: str, *, levels: int) -> Store | None:
    """Go up from `<root>/token_pairs/<fingerprint>[/train]`; None for any other path."""
    parts = url.split("/")
    return Store("/".join(parts[:-levels])) if parts[-levels:][:1] == [TOKEN_PAIRS.name] else None


@dataclass(frozen=True)
class TokenShard:
    """The footer of a token shard."""

    name: str
    rows: int
    bytes: int
    image_bytes: int  # the column of codes, compressed
    schema: pa.Schema
    header: TokenHeader


@dataclass(frozen=True)
class TokenShards:
    """The shards that can be read, and the problems of the others."""

    good: list[TokenShard]
    broken: dict[str, str]  # name -> why

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.good)

    def without(self, broken: Mapping[str, str]) -> "TokenShards":
        good = [shard for shard in self.good if shard.name not in broken]
        return replace(self, good=good, broken={**self.broken, **broken})


def read_footers(found: ShardSet) -> TokenShards:
    """Read every footer; a shard is broken if it is unreadable, or unlike most of the others."""
    broken: dict[str, str] = {}

    def read(name: str) -> TokenShard | None:
        try:
            return _footer(found.folder, name)
        except UNREADABLE as error:
            broken[name] = describe_error(error)
        return None

    footers = [shard for shard in in_threads(read, found.names) if shard is not None]
    return _alike(footers, broken)


def describe_error(error: BaseException) -> str:
    message = (str(error).splitlines() or [""])[0][:200]
    return message if isinstance(error, SchemaMismatch) else f"{type(error).__name__}: {message}"


def _footer(folder: Folder, name: str) -> TokenShard:
    with folder.open(name) as file:
        size = file.seek(0, 2)
        with pq.ParquetFile(file) as table:
            footer, schema = table.metadata, table.schema_arrow
    header = TokenHeader.read(schema, where=name)
    rows.check(schema, header.schema, where=name)
    return TokenShard(name, footer.num_rows, size, _image_bytes(footer), schema, header)


def _image_bytes(footer: pq.FileMetaData) -> int:
    columns = [
        footer.row_group(group).column(number)
        for group in range(footer.num_row_groups)
        for number in range(footer.num_columns)
    ]
    return sum(c.total_compressed_size for c in columns if c.path_in_schema.startswith("image."))


def _alike(read: list[TokenShard], broken: dict[str, str]) -> TokenShards:
    """Keep the shards whose metadata are those of the majority."""
    if not read:
        return TokenShards([], broken)
    ((usual, _),) = Counter(shard.header.shared() for shard in read).most_common(1)
    for shard in read:
        if differ := shard.header.differences(usual):
            broken[shard.name] = "; ".join(
                f"{key} is {have}, most shards have {want}" for key, (have, want) in differ.items()
            )
    return TokenShards([shard for shard in read if shard.name not in broken], broken)


def some_rows(folder: Folder, shards: list[TokenShard], count: int) -> Iterator[dict[str, Any]]:
    """Yield at most `count` rows with their `shard`, a few from each of many shards."""
    filled = [shard for shard in shards if shard.rows]
    chosen = filled[:: max(1, len(filled) // max(1, count))]
    each = -(-count // max(1, len(chosen)))
    left = count
    for shard in chosen:
        group = next(row_groups(folder, shard.name)).slice(0, min(each, left))
        left -= len(group)
        for row in group.to_pylist():
            yield row | {"shard": shard.name, "source_shard": shard.header.source_shard}


def brief(value: str) -> str:
    """Cut a long metadata value, such as a sha256."""
    return value if len(value) <= 32 else value[:12] + "..."
