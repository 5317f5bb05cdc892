"""How workers share one training: who this worker is, how all agree, and how the model is laid out.

- Activation checkpointing keeps only a layer's input, and computes the layer again in the backward
  pass.
- `compile` fuses each layer into a few kernels, the same ones for all layers of a shape.
- Without `shard` every worker holds all weights (DDP). With it (FSDP) a worker holds a part of
  each weight, of its gradient, EMA and moments; a layer is whole only while it is computed.
- A shard group of `shard_size` workers, those of one machine, holds one copy of the weights
  (HSDP): weights travel inside a machine, and only gradients between machines (section 2.5).

A backward pass leaves the mean gradient over all workers. With PowerSGD it leaves the mean over a
shard group only, and `powersgd` does the rest.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from schemas.errors import ConfigError, UserError
from schemas.settings import TrainingSettings

Value = TypeVar("Value")

COMPILED_SHAPES = 64  # of layers and of their inputs; torch runs any further one uncompiled


class FailedElsewhere(RuntimeError):
    """What a worker that failed sends to the others, and what they raise.

    Its arguments are a sentence, and whether that is a UserError's and no fault of ours.
    """

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class DistributedContext:
    """This worker's rank and device, and what it does together with the others."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def all_reduce(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Sum numbers over all workers, name by name."""
        if self.world_size == 1:
            return dict(numbers)
        packed = torch.tensor(list(numbers.values()), dtype=torch.float64, device=self.device)
        dist.all_reduce(packed)
        return dict(zip(numbers, packed.tolist(), strict=True))

    def all_reduce_max(self, number: float) -> float:
        packed = torch.tensor(number, dtype=torch.float64, device=self.device)
        if self.world_size > 1:
            dist.all_reduce(packed, dist.ReduceOp.MAX)
        return packed.item()

    def all_gather(self, value: Value) -> list[Value]:
        """Return the values of all workers, by rank; raise FailedElsewhere if one failed."""
        found = []
        for each in self._exchange(value):
            if isinstance(each, FailedElsewhere):
                raise each
            found.append(each)
        return found

    @contextmanager
    def all_or_none(self, wanted: str) -> Iterator[None]:
        """Run a block on all workers; if it fails on one, it ends with an error on all.

        An OSError becomes the same UserError ("wanted {wanted}, found ...") on each of them.
        `all_gather` is the only collective that the block may call: there, or at the end of the
        block, the others learn of a failure.
        """
        try:
            yield
            self.all_gather(None)
        except FailedElsewhere as error:
            sentence, for_people = error.args
            if for_people:
                raise UserError(sentence) from error
            raise
        except OSError as error:
            sentence = f"wanted {wanted}, found: {error}"
            self._exchange(FailedElsewhere(sentence, True))
            raise UserError(sentence) from error
        except Exception as error:
            self._exchange(FailedElsewhere(str(error), isinstance(error, UserError)))
            raise

    def _exchange(self, value: Value | FailedElsewhere) -> list[Value | FailedElsewhere]:
        values: list[Value | FailedElsewhere] = [value] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(values, value)
        return values


def parallelize(
    model: nn.Module,
    layers: Iterable[nn.Module],
    cfg: TrainingSettings,
    context: DistributedContext,
) -> nn.Module:
    """Return the module to call in training; the weights it computes with are those of `model`.

    Sharding replaces the parameters, so make an optimizer or an EMA afterwards.
    """
    layers = list(layers)
    for layer in layers:
        layer.forward = training_forward(layer.forward, cfg)
    if context.world_size == 1:
        return model
    if cfg.run.shard:
        return shard(model, layers, cfg, context)
    if cfg.fit.powersgd_rank is not None:
        return model
    devices = [context.device] if context.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)


def training_forward(forward: Callable[..., Any], cfg: TrainingSettings) -> Callable[..., Any]:
    """Compile or checkpoint a layer's forward pass where gradients are wanted, and only there."""
    with_gradients = forward
    if cfg.run.compile:
        torch._dynamo.config.recompile_limit = COMPILED_SHAPES
        with_gradients = torch.compile(with_gradients, dynamic=False)
    if cfg.run.activation_checkpointing:
        with_gradients = partial(checkpoint, with_gradients, use_reentrant=False)

    def either(*args: Any, **kwargs: Any) -> Any:
        return (with_gradients if torch.is_grad_enabled() else forward)(*args, **kwargs)

    return either


def shard(
    model: nn.Module,
    layers: Iterable[nn.Module],
    cfg: TrainingSettings,
    context: DistributedContext,
) -> nn.Module:
    """Cut every weight along its first dimension, one part for each worker of a shard group.

    For PowerSGD a matrix is cut across its longer side: parts that are closer to square lose less
    (appendix E, table 2).
    """
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            # Only dense tensors of at least one dimension can be cut.
            dense = weight.detach().contiguous().reshape(weight.shape or (1,))
            setattr(module, name, nn.Parameter(dense, requires_grad=weight.requires_grad))
    mesh = device_mesh(cfg, context)

    def placement(weight: nn.Parameter) -> Shard:
        rows, columns = weight.shape if weight.ndim == 2 else (1, 0)
        wide = columns > rows and columns % shard_group_size(cfg, context.world_size) == 0
        return Shard(1 if wide and cfg.fit.powersgd_rank is not None else 0)

    for layer in layers:
        fully_shard(layer, mesh=mesh, shard_placement_fn=placement)
    fully_shard(model, mesh=mesh)
    assert isinstance(model, FSDPModule)
    model.set_force_sum_reduction_for_comms(True)  # gloo cannot average, and a sum loses nothing
    # Nothing here changes in place what a model returns.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
    return model


def shard_group_size(cfg: TrainingSettings, world_size: int) -> int:
    """Return how many workers, neighbours by rank, hold one copy of the weights; 1 if all do."""
    size = (cfg.run.shard_size or world_size) if cfg.run.shard else 1
    if world_size % size:
        raise ConfigError(
            f"run.shard_size={size} wants a multiple of {size} workers, found {world_size}; "
            "change run.workers or run.shard_size"
        )
    return size


def device_mesh(cfg: TrainingSettings, context: DistributedContext) -> DeviceMesh:
    """Return the workers that a backward pass reduces over: a shard group, or (groups, ranks)."""
    size = shard_group_size(cfg, context.world_size)
    shape, names = (context.world_size // size, size), ("copies", "parts")
    # The device is named, because by itself torch takes GPUs wherever there are any.
    mesh = init_device_mesh(context.device.type, shape, mesh_dim_names=names)
    return mesh["parts"] if shape[0] == 1 or cfg.fit.powersgd_rank is not None else mesh


def with_a_row(model: Callable[..., Any]) -> Callable[..., Any]:
    """Let a worker without rows compute one all the same, and drop its results.

    Workers of a sharded model meet in the forward pass, and not every layer can do without a row.
    """

    def compute(*inputs: Tensor) -> Any:
        if len(inputs[0]):
            return model(*inputs)
        found = model(*(x.new_zeros(1, *x.shape[1:]) for x in inputs))
        return tuple(y[:0] if y.ndim else y for y in found)

    return compute


def local(values: Tensor) -> Tensor:
    """Return this worker's part of a tensor."""
    return values.to_local() if isinstance(values, DTensor) else values


def set_gradient_sync(model: nn.Module, sync: bool) -> None:
    """Say whether the next backward pass reduces gradients over workers, or only accumulates them.

    Sharded gradients always go to the worker that holds their part: nobody has room for all.
    """
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = sync
    elif isinstance(model, FSDPModule):
        model.set_requires_all_reduce(sync)
