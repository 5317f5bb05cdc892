"""The tensors of a checkpoint and the safetensors files that hold them.

A worker writes the rows it holds, one file's worth in memory at a time. Any number of workers can
read them back: each reads the rows it needs and no others, whoever wrote them.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any, BinaryIO, NamedTuple

import safetensors.torch
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

from schemas.errors import SchemaMismatch
from schemas.folder import Folder
from schemas.manifest import FileDigest, Record
from stages.training.distributed import DistributedContext

FILE_BYTES = 2**29  # of tensors in a file, unless a single one is larger


class LocalShard(NamedTuple):
    """The rows and columns of a tensor that this worker holds; a single number counts as a row."""

    shape: tuple[int, ...]  # of the whole tensor
    first: int  # the row of the whole tensor that `rows` begin with
    rows: Tensor
    written: bool  # by this worker; others may hold the same rows
    column: int = 0  # the column of the whole tensor that rows begin with

    @property
    def stop(self) -> int:
        """The row of the whole tensor after the last one here."""
        return self.first + len(self.rows)


def local_shards(tree: Any, context: DistributedContext) -> dict[str, LocalShard]:
    """Return what this worker holds of each tensor in a tree of dicts, by path ("model/weight").

    Each row is written by one worker. Tensors that all workers hold are divided by their bytes.
    """
    tensors = dict(_leaves(tree))
    replicated = sum(t.nbytes for t in tensors.values() if not isinstance(t, DTensor))
    found, before = {}, 0
    for path, tensor in tensors.items():
        if isinstance(tensor, DTensor):
            found[path] = _of_dtensor(tensor)
            continue
        rows = tensor.detach().reshape(tensor.shape or (1,))
        writer = before * context.world_size // max(replicated, 1)
        found[path] = LocalShard(tuple(rows.shape), 0, rows, writer == context.rank)
        before += tensor.nbytes
    return found


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor with its path; skip all other values."""
    if isinstance(tree, Mapping):
        for name, branch in tree.items():
            yield from _leaves(branch, f"{path}/{name}" if path else str(name))
    elif isinstance(tree, Tensor):
        yield path, tree


@torch.no_grad()
def _of_dtensor(tensor: DTensor) -> LocalShard:
    known = tensor.placements
    assert all(p.is_replicate() or p in (Shard(0), Shard(1)) for p in known), known
    (chunk,) = tensor.__create_chunk_list__()
    mesh = tensor.device_mesh
    copies = zip(mesh.get_coordinate() or (), tensor.placements, strict=True)
    # Other copies are other rows of the mesh, or other machines, each with a mesh of its own.
    first_copy = all(at == 0 for at, placement in copies if placement.is_replicate())
    first_copy &= 0 in mesh.mesh
    column = chunk.offsets[1] if tensor.ndim > 1 else 0
    return LocalShard(tuple(tensor.shape), chunk.offsets[0], tensor.to_local(), first_copy, column)


class Span(Record):
    """Rows and columns of a tensor that are in one file."""

    file: str
    first: int  # the row of the whole tensor that they begin with
    rows: int
    column: int = 0
    columns: int = 1


class SavedTensor(Record):
    """A tensor in checkpoint files."""

    shape: tuple[int, ...]
    dtype: str
    spans: tuple[Span, ...]


class Written(Record):
    """What one worker wrote of a checkpoint."""

    files: dict[str, FileDigest]
    tensors: dict[str, SavedTensor]


def write(
    out: Folder, folder: str, shards: Mapping[str, LocalShard], context: DistributedContext
) -> Written:
    """Commit the rows that are this worker's to write, as files in `folder`."""
    files, tensors = {}, {}
    mine = {name: shard for name, shard in shards.items() if shard.written and shard.rows.numel()}
    for number, group in enumerate(_file_groups(mine)):
        part = f"part-{context.rank:05d}-of-{context.world_size:05d}"
        file = f"{folder}{part}-{number:04d}.safetensors"
        rows = {name: mine[name].rows.contiguous().cpu() for name in group}
        files[file] = out.commit(file, safetensors.torch.save(rows))
        for name in group:
            shape, first, held, _, column = mine[name]
            columns = held.shape[1] if held.ndim > 1 else 1
            span = Span(file=file, first=first, rows=len(held), column=column, columns=columns)
            tensors[name] = SavedTensor(shape=shape, dtype=str(held.dtype), spans=(span,))
    return Written(files=files, tensors=tensors)


def _file_groups(shards: Mapping[str, LocalShard]) -> Iterator[list[str]]:
    group: list[str] = []
    room = FILE_BYTES
    for name, shard in shards.items():
        if group and shard.rows.nbytes > room:
            yield group
            group, room = [], FILE_BYTES
        group.append(name)
        room -= shard.rows.nbytes
    if group:
        yield group


class CheckpointReader(AbstractContextManager["CheckpointReader"]):
    """Reads tensors of a checkpoint; files stay open until it is closed."""

    def __init__(self, out: Folder, tensors: Mapping[str, SavedTensor]) -> None:
        self.out, self.tensors = out, tensors
        self._stack = ExitStack()
        self._opened: dict[str, tuple[BinaryIO, int, dict[str, Any]]] = {}

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @torch.no_grad()
    def fill(self, name: str, shard: LocalShard) -> None:
        """Copy saved rows into `shard.rows`; raise SchemaMismatch for another shape or type."""
        saved = self.tensors.get(name)
        wanted = f"{name} as {tuple(shard.shape)} of {shard.rows.dtype}"
        if saved is None or saved.shape != shard.shape or saved.dtype != str(shard.rows.dtype):
            found = f"{saved.shape} of {saved.dtype}" if saved else "nothing of that name"
            raise SchemaMismatch(
                f"wanted {wanted}, found {found}: the checkpoints in {self.out.url} are of another "
                "model; delete them to start over"
            )
        filled, own = 0, _with_columns(shard.rows)
        for span in saved.spans:
            start, stop = max(span.first, shard.first), min(span.first + span.rows, shard.stop)
            left = max(span.column, shard.column)
            right = min(span.column + span.columns, shard.column + own.shape[1])
            if start < stop and left < right:
                rows = own[start - shard.first : stop - shard.first]
                read = self._read(span.file, name, start - span.first, rows)
                target = rows[:, left - shard.column : right - shard.column]
                target.copy_(read[:, left - span.column : right - span.column])
                filled += (stop - start) * (right - left)
        assert filled == len(own) * own.shape[1], (name, saved.spans, shard.first, shard.column)

    def _read(self, file: str, name: str, row: int, like: Tensor) -> Tensor:
        """Return as many rows as `like` has, from row `row` in the file, in the file's width."""
        handle, start, header = self._open(file)
        shape = (len(like), *header[name]["shape"][1:])
        data = bytearray(math.prod(shape) * like.itemsize)
        handle.seek(start + header[name]["data_offsets"][0] + row * len(data) // len(like))
        if handle.readinto(data) != len(data):  # type: ignore[attr-defined]
            raise OSError(f"{self.out.url}/{file} ends before the rows of {name}")
        return _with_columns(torch.frombuffer(data, dtype=like.dtype).reshape(shape))

    def _open(self, file: str) -> tuple[BinaryIO, int, dict[str, Any]]:
        if file not in self._opened:
            handle = self._stack.enter_context(self.out.open(file))
            length = int.from_bytes(handle.read(8), "little")
            self._opened[file] = handle, 8 + length, json.loads(handle.read(length))
        return self._opened[file]


def _with_columns(rows: Tensor) -> Tensor:
    return rows if rows.ndim > 1 else rows[:, None]
