"""What is in token shards: counts that add up over any number of files, and rows to look at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from infra.store import Store, open_folder
from schemas import rows
from schemas.artifacts import TOKEN_PAIRS, TRAIN, VAL
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from schemas.manifest import MANIFEST, Manifest

SHARED_METADATA = ("dvae_sha256", "bpe_sha256", "text_vocab", "image_vocab", "text_len", "grid")
LENGTHS, CODES = "text_length", "image"


@dataclass
class Tokens:
    """What was counted in the shards read so far."""

    schema: pa.Schema | None = None
    metadata: dict[str, str] = field(default_factory=dict)  # of the first good shard
    rows: dict[str, int] = field(default_factory=dict)  # by file, good ones only
    bytes: int = 0
    broken: dict[str, str] = field(default_factory=dict)  # file -> why
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    codes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def total(self) -> int:
        """Rows in all good shards."""
        return sum(self.rows.values())

    def read(self, folder: Folder, name: str) -> None:
        """Count one file; a file that cannot be read, or does not fit, is named and left out."""
        try:
            with folder.open(name) as file:
                self._count(name, file)
        except (OSError, pa.ArrowException, SchemaMismatch) as error:
            self.broken[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"

    def _count(self, name: str, file: BinaryIO) -> None:
        size = file.seek(0, 2)
        with pq.ParquetFile(file) as table:
            metadata = text_metadata(table.schema_arrow)
            self._fits(table.schema_arrow, metadata, name)
            spec = {key: int(metadata[key]) for key in ("image_vocab", "text_len")}
            lengths = np.zeros(spec["text_len"] + 1, np.int64)
            codes = np.zeros(spec["image_vocab"], np.int64)
            for group in range(table.num_row_groups):
                part = table.read_row_group(group)  # whole, for damage may be in any column
                lengths += _histogram(part[LENGTHS].to_numpy(), len(lengths), "text_length", name)
                image = rows.matrix(part[CODES]).reshape(-1)
                codes += _histogram(image, len(codes), "image code", name)
            self.rows[name] = table.metadata.num_rows
        if self.schema is None:
            self.schema, self.metadata = table.schema_arrow, metadata
            self.lengths, self.codes = lengths, codes
        else:
            self.lengths += lengths
            self.codes += codes
        self.bytes += size

    def _fits(self, schema: pa.Schema, metadata: Mapping[str, str], name: str) -> None:
        missing = [key for key in SHARED_METADATA if key not in metadata]
        if missing:
            raise SchemaMismatch(f"{name}: the schema's metadata lacks {', '.join(missing)}")
        promised = rows.token_pair(text_len=int(metadata["text_len"]), grid=int(metadata["grid"]))
        rows.check(schema, promised, where=name)
        for key in SHARED_METADATA:
            if self.metadata and metadata[key] != self.metadata[key]:
                raise SchemaMismatch(
                    f"{name}: {key} is {metadata[key]}, the first shard has {self.metadata[key]}; "
                    "they were not made together"
                )


def text_metadata(schema: pa.Schema) -> dict[str, str]:
    """Return a schema's own metadata as text."""
    raw: dict[bytes, bytes] = schema.metadata or {}
    found = {key.decode(): value.decode(errors="replace") for key, value in raw.items()}
    return {key: value for key, value in found.items() if key != "ARROW:schema"}


def _histogram(values: np.ndarray, size: int, what: str, name: str) -> np.ndarray:
    if len(values) and values.max() >= size:
        raise SchemaMismatch(f"{name}: {what} {values.max()} is out of range, must be < {size}")
    return np.bincount(values, minlength=size)


def some_rows(folder: Folder, names: list[str], count: int) -> Iterator[dict[str, Any]]:
    """Yield about `count` rows with their `shard`, spread over the shards, a few from each."""
    step = max(1, len(names) // max(1, count))
    chosen = names[::step]
    each = -(-count // max(1, len(chosen)))
    left = count
    for name in chosen:
        with folder.open(name) as file, pq.ParquetFile(file) as table:
            if table.num_row_groups == 0:
                continue
            group = table.read_row_group(0).slice(0, min(each, left))
            source = text_metadata(table.schema_arrow).get("source_shard", "")
        left -= len(group)
        for row in group.to_pylist():
            yield row | {"shard": name, "source_shard": source}


@dataclass(frozen=True)
class Target:
    """The shards to look at, and the root that holds what they were made with, if known."""

    folder: Folder
    names: list[str]
    store: Store | None

    def beside(self, name: str, fingerprint: str | None) -> Folder | None:
        """Return a finished artifact of the same root, or None if it is not there."""
        if self.store is None or not fingerprint:
            return None
        folder = self.store.folder(name, fingerprint)
        return folder if folder.exists(MANIFEST) else None

    @property
    def manifest(self) -> Manifest | None:
        """Return what encode said about them, if they lie in a finished artifact."""
        if not self.folder.exists(MANIFEST):
            return None
        with self.folder.open(MANIFEST) as file:
            return Manifest.model_validate_json(file.read())


def target(address: str) -> Target:
    """Find shards at a root, an artifact's folder or a file; raise ArtifactMissing if none.

    An artifact need not be finished: what is committed is shown.
    """
    if address.endswith(".parquet"):
        folder = open_folder(str(open_folder(address).url).rsplit("/", 1)[0])
        name = address.rsplit("/", 1)[-1]
        if not folder.exists(name):
            raise ArtifactMissing(f"wanted a token shard, found no file at {address}")
        return Target(folder, [name], _store(folder.url, levels=3))
    folder = open_folder(address)
    names = _shards(folder)
    if names:
        return Target(folder, names, _store(folder.url, levels=2))
    store = Store(folder.url)
    newest = store.newest(TOKEN_PAIRS)
    return Target(newest, _shards(newest), store)


def _shards(folder: Folder) -> list[str]:
    return [n for part in (TRAIN, VAL) for n in folder.list(part) if n.endswith(".parquet")]


def _store(url: str, *, levels: int) -> Store | None:
    """Go up from `<root>/token_pairs/<fingerprint>[/train]`; None if that is not where we are."""
    parts = url.split("/")
    return Store("/".join(parts[:-levels])) if parts[-levels:][:1] == [TOKEN_PAIRS.name] else None


def read(found: Target) -> Tokens:
    """Count everything in the shards; broken ones are named in the result."""
    tokens = Tokens()
    for name in found.names:
        tokens.read(found.folder, name)
    return tokens
