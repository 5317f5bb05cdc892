"""What workers send of their gradients from one copy of the weights to another."""

import torch
from torch import Tensor

from pipelines.memory import FULL, weights_of
from schemas.settings import PriorShape, TokenSpec, TrainingSettings
from stages.models.prior import Prior
from stages.training.powersgd import fused, is_worth_it


def sent_between_copies(
    tokens: TokenSpec, shape: PriorShape, cfg: TrainingSettings
) -> tuple[int, int]:
    """Return the bytes that a worker sends in an update, and those of its whole gradients."""
    sharers, total = cfg.run.sharers, weights_of(tokens, shape).total
    whole = FULL * total // sharers
    if cfg.fit.powersgd_rank is None:
        return whole, whole
    with torch.device("meta"):
        block = Prior(tokens, shape).blocks[0]
    compressed = [w for w in block.parameters() if is_worth_it(w, cfg.fit.powersgd_rank)]
    factors = sum(factors_of(weight, cfg.fit.powersgd_rank, sharers) for weight in compressed)
    left = total - shape.layers * sum(weight.numel() for weight in compressed)
    return FULL * (shape.layers * factors + left // sharers), whole


def factors_of(weight: Tensor, rank: int, sharers: int) -> int:
    """Count the numbers in the thin factors of a worker's part of a matrix, cut along its length.

    Paper: table 2; queries, keys and values are compressed each by itself.
    """
    rows, columns = weight.shape[0] // fused(weight), weight.shape[1]
    sides = (rows, columns // sharers) if columns > rows else (rows // sharers, columns)
    return fused(weight) * min(rank // sharers, *sides) * sum(sides)
