"""Which rows of each of a run's tensors this worker holds, and which of them it writes down."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

from stages.training.task import Place


class Piece(NamedTuple):
    """Some rows of a tensor; a single number counts as a row."""

    shape: tuple[int, ...]  # of the whole tensor
    first: int  # the row of the whole that `rows` begin with
    rows: Tensor
    written: bool  # by this worker; others may hold the same rows
    column: int = 0  # of the whole that rows begin with: they may be cut, too

    @property
    def stop(self) -> int:
        """Return the row of the whole that comes after the last one here."""
        return self.first + len(self.rows)


def pieces(tree: Any, place: Place) -> dict[str, Piece]:
    """Return what this worker holds of each tensor of a tree of dicts, by its path in there.

    Every row is written by one worker. What all workers hold is shared out by its bytes.
    """
    tensors = dict(leaves(tree))
    alike = sum(t.nbytes for t in tensors.values() if not isinstance(t, DTensor))
    found, before = {}, 0
    for path, tensor in tensors.items():
        if isinstance(tensor, DTensor):
            found[path] = _part(tensor)
            continue
        rows = tensor.detach().reshape(tensor.shape or (1,))
        writer = before * place.world // max(alike, 1)
        found[path] = Piece(tuple(rows.shape), 0, rows, writer == place.rank)
        before += tensor.nbytes
    return found


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a tree of dicts, each with its path; all else is left out."""
    if isinstance(tree, Mapping):
        for name, branch in tree.items():
            yield from leaves(branch, f"{path}/{name}" if path else str(name))
    elif isinstance(tree, Tensor):
        yield path, tree


@torch.no_grad()
def _part(tensor: DTensor) -> Piece:
    known = tensor.placements
    assert all(p.is_replicate() or p in (Shard(0), Shard(1)) for p in known), known
    (chunk,) = tensor.__create_chunk_list__()
    mesh = tensor.device_mesh
    copies = zip(mesh.get_coordinate() or (), tensor.placements, strict=True)
    # Other copies are other rows of the mesh, or other machines, each with a mesh of its own.
    first_copy = all(place == 0 for place, how in copies if how.is_replicate())
    first_copy &= 0 in mesh.mesh
    column = chunk.offsets[1] if tensor.ndim > 1 else 0
    return Piece(tuple(tensor.shape), chunk.offsets[0], tensor.to_local(), first_copy, column)
