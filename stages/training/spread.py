"""How one model is computed by several workers, fast, and within the memory of each.

`recompute` keeps a block's input instead of all that is inside it, and computes that again on the
way back. `compile` turns each block into a few kernels, the same for all blocks of one shape.
`shard` gives each worker a part of every weight, of its gradient, its average and its moments; a
block's weights are whole only while it is computed. Without it each worker has them all.

A backward pass leaves the mean over workers of what they add up.
"""

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from schemas.configs import FitSettings
from stages.training.task import Place

SHAPES = 64  # of blocks, and of their inputs, that are compiled before one runs uncompiled


def spread(
    model: nn.Module, blocks: Iterable[nn.Module], cfg: FitSettings, place: Place
) -> nn.Module:
    """Return what computes `model` here; its weights stay those of `model`.

    Sharding replaces the weights: whatever holds on to them must be made afterwards.
    """
    blocks = list(blocks)
    for block in blocks:
        block.forward = learning(block.forward, cfg)
    if place.world == 1:
        return model
    if cfg.shard:
        return shard(model, blocks, place)
    devices = [place.device] if place.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)


def learning(forward: Callable[..., Any], cfg: FitSettings) -> Callable[..., Any]:
    """Return how a block is computed where gradients are wanted, and elsewhere as it always was."""
    learns = forward
    if cfg.compile:
        torch._dynamo.config.recompile_limit = SHAPES
        learns = torch.compile(learns, dynamic=False)
    if cfg.recompute:
        learns = partial(checkpoint, learns, use_reentrant=False)

    def either(*args: Any, **kwargs: Any) -> Any:
        return (learns if torch.is_grad_enabled() else forward)(*args, **kwargs)

    return either


def shard(model: nn.Module, blocks: Iterable[nn.Module], place: Place) -> nn.Module:
    """Cut every weight along its first dimension, one part for each worker."""
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            # Only dense tensors of at least one dimension can be cut.
            dense = weight.detach().contiguous().reshape(weight.shape or (1,))
            setattr(module, name, nn.Parameter(dense, requires_grad=weight.requires_grad))
    # said, because by itself it takes GPUs wherever there are any
    mesh = init_device_mesh(place.device.type, (place.world,))
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert isinstance(model, FSDPModule)
    model.set_force_sum_reduction_for_comms(True)  # gloo cannot average, and a sum loses nothing
    # Nothing here changes in place what a model returns.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
    return model


def add_up(spread_model: nn.Module, now: bool) -> None:
    """Say whether the next backward pass adds up over workers, or only here for the time being.

    Where weights are in parts, gradients always go to theirs: nobody has room for all of them.
    """
    if isinstance(spread_model, DistributedDataParallel):
        spread_model.require_backward_grad_sync = now
    elif isinstance(spread_model, FSDPModule):
        spread_model.set_requires_all_reduce(now)
