"""How one model is computed by several workers, fast, and within the memory of each.

`activation_checkpointing` keeps a block's input instead of all that is inside it, and computes
that again on the way back. `compile` turns each block into a few kernels, the same for all blocks
of one shape.
`shard` gives each worker a part of every weight, of its gradient, its average and its moments; a
block's weights are whole only while it is computed. Without it each worker has them all.
`shard_size` workers share one copy then, those of one machine: parts of the weights travel inside
a machine, and between machines only gradients do (section 2.5).

A backward pass leaves the mean over workers of what they add up. With `powersgd_rank` it is only
that over the workers that share a copy, and `powersgd` does what is left.
"""

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from schemas.errors import ConfigError
from schemas.settings import TrainingSettings
from stages.training.task import Place

SHAPES = 64  # of blocks, and of their inputs, that are compiled before one runs uncompiled


def spread(
    model: nn.Module, blocks: Iterable[nn.Module], cfg: TrainingSettings, place: Place
) -> nn.Module:
    """Return what computes `model` here; its weights stay those of `model`.

    Sharding replaces the weights: whatever holds on to them must be made afterwards.
    """
    blocks = list(blocks)
    for block in blocks:
        block.forward = learning(block.forward, cfg)
    if place.world == 1:
        return model
    if cfg.run.shard:
        return shard(model, blocks, cfg, place)
    if cfg.fit.powersgd_rank is not None:
        return model
    devices = [place.device] if place.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)


def learning(forward: Callable[..., Any], cfg: TrainingSettings) -> Callable[..., Any]:
    """Return how a block is computed where gradients are wanted, and elsewhere as it always was."""
    learns = forward
    if cfg.run.compile:
        torch._dynamo.config.recompile_limit = SHAPES
        learns = torch.compile(learns, dynamic=False)
    if cfg.run.activation_checkpointing:
        learns = partial(checkpoint, learns, use_reentrant=False)

    def either(*args: Any, **kwargs: Any) -> Any:
        return (learns if torch.is_grad_enabled() else forward)(*args, **kwargs)

    return either


def shard(
    model: nn.Module, blocks: Iterable[nn.Module], cfg: TrainingSettings, place: Place
) -> nn.Module:
    """Cut every weight along its first dimension, one part for each worker of a machine.

    A matrix to be compressed is cut across its longer side: parts that are closer to square lose
    less (appendix E, table 2).
    """
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            # Only dense tensors of at least one dimension can be cut.
            dense = weight.detach().contiguous().reshape(weight.shape or (1,))
            setattr(module, name, nn.Parameter(dense, requires_grad=weight.requires_grad))
    mesh = machines(cfg, place)

    def along(weight: nn.Parameter) -> Shard:
        rows, columns = weight.shape if weight.ndim == 2 else (1, 0)
        wide = columns > rows and columns % sharers(cfg, place) == 0
        return Shard(1 if wide and cfg.fit.powersgd_rank is not None else 0)

    for block in blocks:
        fully_shard(block, mesh=mesh, shard_placement_fn=along)
    fully_shard(model, mesh=mesh)
    assert isinstance(model, FSDPModule)
    model.set_force_sum_reduction_for_comms(True)  # gloo cannot average, and a sum loses nothing
    # Nothing here changes in place what a model returns.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
    return model


def with_a_row(model: Callable[..., Any]) -> Callable[..., Any]:
    """Let a worker without rows compute one all the same, and leave its results out.

    Workers meet in a forward pass, and not every layer can do without a row.
    """

    def compute(*inputs: Tensor) -> Any:
        if len(inputs[0]):
            return model(*inputs)
        found = model(*(x.new_zeros(1, *x.shape[1:]) for x in inputs))
        return tuple(y[:0] if y.ndim else y for y in found)

    return compute


def sharers(cfg: TrainingSettings, place: Place) -> int:
    """Return how many workers, next to each other by rank, share one copy of the weights."""
    number = (cfg.run.shard_size or place.world) if cfg.run.shard else 1
    if place.world % number:
        raise ConfigError(
            f"run.shard_size={number} wants a multiple of {number} workers, found {place.world}; "
            "change run.workers or run.shard_size"
        )
    return number


def machines(cfg: TrainingSettings, place: Place) -> DeviceMesh:
    """Return who adds up in a backward pass: the workers of one machine, or a row for each."""
    parts = sharers(cfg, place)
    shape, names = (place.world // parts, parts), ("copies", "parts")
    # The device is said, because by itself it takes GPUs wherever there are any.
    mesh = init_device_mesh(place.device.type, shape, mesh_dim_names=names)
    return mesh["parts"] if shape[0] == 1 or cfg.fit.powersgd_rank is not None else mesh


def local(values: Tensor) -> Tensor:
    """Return the part of a tensor that is here."""
    return values.to_local() if isinstance(values, DTensor) else values


def add_up(spread_model: nn.Module, now: bool) -> None:
    """Say whether the next backward pass adds up over workers, or only here for the time being.

    Where weights are in parts, gradients always go to theirs: nobody has room for all of them.
    """
    if isinstance(spread_model, DistributedDataParallel):
        spread_model.require_backward_grad_sync = now
    elif isinstance(spread_model, FSDPModule):
        spread_model.set_requires_all_reduce(now)
