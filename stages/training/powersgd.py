"""Gradients between copies of the weights as products of two thin matrices: PowerSGD.

Paper: section 2.5 and appendix E. A worker adds what it has not yet said to its gradient G, and
says as much of the sum E as fits into rank r:

    P  = E S             S: fixed random numbers, the same on every copy
    P  = basis of the mean of P over copies
    Q  = E^T P
    G' = P Q^T           with the mean of Q: on all copies the same, and what they learn from
    E - G'               is what this copy has still to say

All of it is linear in E, so G' and the mean of what is left depend on the mean of E alone: not on
how many copies there are, and one copy learns the same without sending anything. That mean is all
a checkpoint holds. What is left is always at right angles to S, so it is said as later gradients
come to point its way; of one that never changed, part would never be said.

Matrices inside blocks are compressed. All else is little and sent whole: gains, biases,
embeddings, heads, and a matrix so small that its two factors would not be smaller. Where a machine
shares one copy, each worker compresses its own part, with its part of the rank.

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
from stages.training.order import generator
from stages.training.spread import local
from stages.training.task import Place

# On P's diagonal, so that it has a basis where columns are zero; of the size of P's numbers. The
# paper adds as much to a P that is scaled to be near 1; ours is as small as gradients are.
NUDGE = 1e-6


class PowerSGD:
    """The exchange of one worker with those that hold the same part of another copy."""

    def __init__(
        self,
        model: nn.Module,
        blocks: Iterable[nn.Module],
        fit: FitSettings,
        place: Place,
    ) -> None:
        assert fit.powersgd_rank is not None
        rank = fit.powersgd_rank
        parts = fit.powersgd_parts
        self.place, self.rank = place, rank // parts
        self.copies = place.world // parts
        self.group = counterparts(parts, place) if self.copies > 1 else None
        inside = {weight for block in blocks for weight in block.parameters()}
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
        """Turn gradients into what all copies agree on; where one is not finite, none is then.

        The errors are then left as they were, so that only a gradient is lost.
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
            said = p @ q.T
            error.copy_(e - said)
            e.copy_(said)
        for gradient, mean in zip(whole, means, strict=True):
            gradient.copy_(mean)

    @torch.no_grad()
    def settle(self) -> None:
        """Give each copy the mean of what all have left to say: what they learn is the same."""
        errors = [local(error) for error in self.errors.values()]
        for error, mean in zip(errors, self._mean(errors), strict=True):
            error.copy_(mean)

    def bytes_sent(self) -> int:
        """Count what a worker hands over in an update, each number in four bytes."""
        sketches = list(chain.from_iterable(self.sketches.values()))
        pairs = zip(self._matrices(self.errors), sketches, strict=True)
        factors = sum(random.shape[1] * sum(matrix.shape) for matrix, random in pairs)
        return 4 * (factors + sum(local(weight).numel() for weight in self.whole))

    def _matrices(self, values: Mapping[str, Tensor]) -> list[Tensor]:
        """Return views of all that is compressed by itself, in the order of the weights."""
        return [
            matrix
            for name, weight in self.compressed.items()
            for matrix in matrices(values[name], weight)
        ]

    def _mean(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return the mean of each over all copies, all sent as one."""
        if self.group is None or not tensors:
            return [tensor.clone() for tensor in tensors]
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat, group=self.group)
        flat /= self.copies
        pieces = flat.split([tensor.numel() for tensor in tensors])
        return [p.view(tensor.shape) for p, tensor in zip(pieces, tensors, strict=True)]

    def _all_finite(self, tensors: list[Tensor]) -> bool:
        """Say whether all numbers of all workers are finite: parts of a copy skip together."""
        finite = torch.stack([tensor.isfinite().all() for tensor in tensors]).all()
        return self.place.total({"spoilt": not finite.item()})["spoilt"] == 0


def compression(
    model: nn.Module, blocks: Iterable[nn.Module], fit: FitSettings, place: Place
) -> PowerSGD | None:
    """Return how gradients are compressed, if they are; `model` is spread already."""
    return PowerSGD(model, blocks, fit, place) if fit.powersgd_rank is not None else None


def is_worth_it(weight: Tensor, rank: int) -> bool:
    """Say whether a weight is a matrix whose two factors are smaller than itself."""
    if weight.ndim != 2 or not weight.requires_grad:
        return False
    rows, columns = len(weight) // fused(weight), weight.shape[1]
    return rank * (rows + columns) < rows * columns


def fused(weight: Tensor) -> int:
    """Count the matrices of the paper in one: an attention's queries, keys and values lie together.

    They are what is three times as high as wide.
    """
    return 3 if len(weight) == 3 * weight.shape[1] else 1


def matrices(values: Tensor, weight: Tensor) -> list[Tensor]:
    """Return views of what is compressed by itself in (a part of) the values of a weight, lying."""
    apart = local(values).tensor_split(fused(weight))
    return [m if m.shape[0] <= m.shape[1] else m.T for m in apart]


def sketch(matrix: Tensor, rank: int, seed: int, name: str) -> Tensor:
    """Return the S of a matrix: n rows; numbers that never change, for that would hurt much."""
    rows, columns = matrix.shape
    noise = generator(seed, zlib.crc32(name.encode())).standard_normal((columns, min(rank, rows)))
    return torch.from_numpy(noise).to(matrix)


def basis(p: Tensor) -> Tensor:
    """Return orthonormal columns that span those of `p`, by Householder reflections."""
    p.diagonal().add_(NUDGE * p.norm() / math.sqrt(max(p.numel(), 1)))
    return torch.linalg.qr(p).Q


def counterparts(parts: int, place: Place) -> dist.ProcessGroup:
    """Return those that hold what this worker holds; all workers make all groups together."""
    groups = [dist.new_group(range(part, place.world, parts)) for part in range(parts)]
    return groups[place.rank % parts]


def gradient_of(weight: nn.Parameter) -> Tensor:
    """Return a weight's gradient, zero where there was no reason for one."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad
