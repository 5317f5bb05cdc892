"""PowerSGD: gradients go from one copy of the weights to another as two thin matrices.

Paper: section 2.5 and appendix E. A worker adds the error left from earlier updates to its
gradient G, and sends a rank-r approximation G' of the sum E:

    P  = E S             S: fixed random numbers, the same on every copy
    P  = basis of the mean of P over copies
    Q  = E^T P
    G' = P Q^T           with the mean of Q: the same on all copies, and what they learn from
    E - G'               is this copy's error, kept for the next update

All of it is linear in E, so G' and the mean error depend only on the mean of E: the number of
copies does not matter, and a single copy learns the same without sending anything. The mean error
is all that a checkpoint holds. An error is orthogonal to S, so it is sent as later gradients come
to point its way; of a gradient that never changed, part would never be sent.

Matrices inside layers are compressed. The rest is small and sent whole: gains, biases, embeddings,
heads, and matrices so small that two factors would not be smaller. In a shard group each worker
compresses its own part, with its part of the rank.

Dimensions of a matrix, lying: m rows, n columns, m <= n.
"""

import math
import zlib
from collections.abc import Iterable, Mapping
from itertools import chain

import torch
import torch.distributed as dist
from torch import Tensor, nn

from schemas.settings import FitSettings
from stages.data.order import generator
from stages.training.distributed import DistributedContext, local

# Added to P's diagonal, times P's mean size, so that columns of zeros have a basis too. The paper
# adds as much to a P that is scaled to be near 1; ours is as small as gradients are.
NUDGE = 1e-6


class PowerSGD:
    """The exchange of one worker with those that hold the same part of another copy.

    `model` is parallelized already.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Iterable[nn.Module],
        fit: FitSettings,
        context: DistributedContext,
    ) -> None:
        assert fit.powersgd_rank is not None
        rank, parts = fit.powersgd_rank, fit.powersgd_parts
        self.context, self.rank = context, rank // parts
        self.copies = context.world_size // parts
        self.group = counterparts(parts, context) if self.copies > 1 else None
        inside = {weight for layer in layers for weight in layer.parameters()}
        self.compressed: dict[str, nn.Parameter] = {}
        self.whole: list[nn.Parameter] = []
        for name, weight in model.named_parameters():
            if weight in inside and is_worth_it(weight, rank):
                self.compressed[name] = weight
            elif weight.requires_grad:
                self.whole.append(weight)
        self.errors = {name: torch.zeros_like(weight) for name, weight in self.compressed.items()}
        self.sketches = {
            name: [
                sketch(matrix, self.rank, fit.seed, f"{name} {number}")
                for number, matrix in enumerate(matrices(weight.detach(), weight))
            ]
            for name, weight in self.compressed.items()
        }

    @torch.no_grad()
    def exchange(self) -> None:
        """Replace gradients by those that all copies agree on.

        If one is not finite, none is afterwards. The errors are then left as they were, so that
        only this gradient is lost.
        """
        gradients = {name: gradient_of(weight) for name, weight in self.compressed.items()}
        for name, gradient in gradients.items():
            gradient += self.errors[name]
        sums, left = self._matrices(gradients), self._matrices(self.errors)
        whole = [local(gradient_of(weight)) for weight in self.whole]

        sketches = list(chain.from_iterable(self.sketches.values()))
        ps = self._mean([e @ s for e, s in zip(sums, sketches, strict=True)])
        bases = [basis(p) for p in ps]
        qs = self._mean([e.T @ p for e, p in zip(sums, bases, strict=True)])
        means = self._mean(whole)
        if not self._all_finite([*ps, *qs, *means]):
            for gradient in (*sums, *whole):
                gradient.fill_(torch.nan)
            return
        for e, p, q, error in zip(sums, bases, qs, left, strict=True):
            sent = p @ q.T
            error.copy_(e - sent)
            e.copy_(sent)
        for gradient, mean in zip(whole, means, strict=True):
            gradient.copy_(mean)

    @torch.no_grad()
    def average_errors(self) -> None:
        """Give each copy the mean error, which changes nothing of what they learn."""
        errors = [local(error) for error in self.errors.values()]
        for error, mean in zip(errors, self._mean(errors), strict=True):
            error.copy_(mean)

    def _matrices(self, values: Mapping[str, Tensor]) -> list[Tensor]:
        """Return views of all matrices that are compressed, in the order of the weights."""
        return [
            matrix
            for name, weight in self.compressed.items()
            for matrix in matrices(values[name], weight)
        ]

    def _mean(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return the mean of each over all copies, all sent as one tensor."""
        if self.group is None or not tensors:
            return [tensor.clone() for tensor in tensors]
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat, group=self.group)
        flat /= self.copies
        means = flat.split([tensor.numel() for tensor in tensors])
        return [mean.view(tensor.shape) for mean, tensor in zip(means, tensors, strict=True)]

    def _all_finite(self, tensors: list[Tensor]) -> bool:
        """Check the numbers of all workers: those of a shard group skip an update together."""
        finite = torch.stack([tensor.isfinite().all() for tensor in tensors]).all()
        return self.context.all_reduce({"spoilt": not finite.item()})["spoilt"] == 0


def is_worth_it(weight: Tensor, rank: int) -> bool:
    """Whether a weight is a matrix that is larger than its two factors."""
    if weight.ndim != 2 or not weight.requires_grad:
        return False
    rows, columns = len(weight) // fused(weight), weight.shape[1]
    return rank * (rows + columns) < rows * columns


def fused(weight: Tensor) -> int:
    """Count the paper's matrices in one of ours: queries, keys and values are fused.

    A fused matrix is three times as high as wide.
    """
    return 3 if len(weight) == 3 * weight.shape[1] else 1


def matrices(values: Tensor, weight: Tensor) -> list[Tensor]:
    """Return views of the matrices in (a part of) a weight's values, each of them lying."""
    apart = local(values).tensor_split(fused(weight))
    return [m if m.shape[0] <= m.shape[1] else m.T for m in apart]


def sketch(matrix: Tensor, rank: int, seed: int, name: str) -> Tensor:
    """Return the S of a matrix, n rows; its numbers never change, because that would hurt much."""
    rows, columns = matrix.shape
    noise = generator(seed, zlib.crc32(name.encode())).standard_normal((columns, min(rank, rows)))
    return torch.from_numpy(noise).to(matrix)


def basis(p: Tensor) -> Tensor:
    """Return orthonormal columns that span those of `p`, by Householder reflections."""
    p.diagonal().add_(NUDGE * p.norm() / math.sqrt(max(p.numel(), 1)))
    return torch.linalg.qr(p).Q


def counterparts(parts: int, context: DistributedContext) -> dist.ProcessGroup:
    """Return the group that holds this worker's part; all workers make all groups together."""
    groups = [dist.new_group(range(part, context.world_size, parts)) for part in range(parts)]
    return groups[context.rank % parts]


def gradient_of(weight: nn.Parameter) -> Tensor:
    """Return a weight's gradient, zeros where the backward pass left none."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad
