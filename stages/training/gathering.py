"""Weights in parts and weights as a whole: what a file holds does not depend on the workers."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def gathered(tree: Any, *, keep: bool) -> Any:
    """Return a tree of dicts with its sharded tensors whole, on the CPU.

    Every worker takes part; those that do not `keep` them get None in their places.
    """
    if isinstance(tree, Mapping):
        return {name: gathered(branch, keep=keep) for name, branch in tree.items()}
    if isinstance(tree, DTensor):
        whole = tree.full_tensor()
        return whole.cpu() if keep else None
    return tree


@torch.no_grad()
def pour(saved: Any, into: Any) -> None:
    """Copy a tree's tensors into those of another, each laid out as it is there."""
    if isinstance(into, Mapping):
        for name, branch in into.items():
            pour(saved[name], branch)
    elif isinstance(into, Tensor):
        into.copy_(_laid_out(saved.reshape(into.shape), into))


def _laid_out(whole: Tensor, like: Tensor) -> Tensor:
    if not isinstance(like, DTensor):
        return whole
    # None: every worker has read the whole, so nothing need be sent
    return distribute_tensor(
        whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None
    )
