"""The files that hold the tensors of a run between two updates: safetensors, some rows in each.

A worker writes the rows it holds, a file's worth in memory at a time, and reads back the rows it
needs and no others, whoever wrote them.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, BinaryIO, Self

import safetensors.torch
import torch
from torch import Tensor

from schemas.errors import SchemaMismatch
from schemas.folder import Folder
from schemas.manifest import FileDigest, Record
from stages.training.pieces import Piece
from stages.training.task import Place

FILE_BYTES = 2**29  # of tensors in a file, as long as one of them is not larger


class Span(Record):
    """Rows of a tensor that are in one file."""

    file: str
    first: int  # the row of the whole tensor that they begin with
    rows: int
    column: int = 0  # of the whole tensor that rows begin with
    columns: int = 1


class Saved(Record):
    """A tensor as files hold it."""

    shape: tuple[int, ...]
    dtype: str
    spans: tuple[Span, ...]


class Written(Record):
    """What one worker wrote of a run."""

    files: dict[str, FileDigest]
    tensors: dict[str, Saved]


def write(out: Folder, folder: str, pieces: Mapping[str, Piece], place: Place) -> Written:
    """Commit the rows that are this worker's to write, as files in `folder`."""
    files, tensors = {}, {}
    mine = {name: piece for name, piece in pieces.items() if piece.written and piece.rows.numel()}
    for number, group in enumerate(_files(mine)):
        part = f"part-{place.rank:05d}-of-{place.world:05d}"
        file = f"{folder}{part}-{number:04d}.safetensors"
        rows = {name: mine[name].rows.contiguous().cpu() for name in group}
        files[file] = out.commit(file, safetensors.torch.save(rows))
        for name in group:
            shape, first, held, _, column = mine[name]
            columns = held.shape[1] if held.ndim > 1 else 1
            span = Span(file=file, first=first, rows=len(held), column=column, columns=columns)
            tensors[name] = Saved(shape=shape, dtype=str(held.dtype), spans=(span,))
    return Written(files=files, tensors=tensors)


def _files(pieces: Mapping[str, Piece]) -> Iterator[list[str]]:
    group: list[str] = []
    room = FILE_BYTES
    for name, piece in pieces.items():
        if group and piece.rows.nbytes > room:
            yield group
            group, room = [], FILE_BYTES
        group.append(name)
        room -= piece.rows.nbytes
    if group:
        yield group


class Reader:
    """Reads rows out of files, and leaves the files open meanwhile."""

    def __init__(self, out: Folder, tensors: Mapping[str, Saved]) -> None:
        self.out, self.tensors = out, tensors
        self._stack = ExitStack()
        self._opened: dict[str, tuple[BinaryIO, int, dict[str, Any]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @torch.no_grad()
    def fill(self, name: str, piece: Piece) -> None:
        """Copy a tensor's saved rows into those that this worker holds of it."""
        saved = self.tensors.get(name)
        wanted = f"{name} as {tuple(piece.shape)} of {piece.rows.dtype}"
        if saved is None or saved.shape != piece.shape or saved.dtype != str(piece.rows.dtype):
            found = f"{saved.shape} of {saved.dtype}" if saved else "nothing of that name"
            raise SchemaMismatch(
                f"wanted {wanted}, found {found}: the checkpoints in {self.out.url} are of another "
                "model; delete them to start over"
            )
        filled, own = 0, _with_columns(piece.rows)
        for span in saved.spans:
            start, stop = max(span.first, piece.first), min(span.first + span.rows, piece.stop)
            left = max(span.column, piece.column)
            right = min(span.column + span.columns, piece.column + own.shape[1])
            if start < stop and left < right:
                rows = own[start - piece.first : stop - piece.first]
                read = self._read(span.file, name, start - span.first, rows)
                target = rows[:, left - piece.column : right - piece.column]
                target.copy_(read[:, left - span.column : right - span.column])
                filled += (stop - start) * (right - left)
        assert filled == len(own) * own.shape[1], (name, saved.spans, piece.first, piece.column)

    def _read(self, file: str, name: str, row: int, like: Tensor) -> Tensor:
        """Return as many rows as `like` has, from row `row` in the file on, as wide as there."""
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
