"""How much memory training the prior takes on each worker, and what would make it fit.

Counted are tensors that live at the fullest moment of an update, or of a validation on the first
worker. Weights and all that belongs to them are in float32; products may be in 16 bits.
"""

import json
import math
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from torch import nn

from schemas.errors import ConfigError
from schemas.settings import PriorShape, Settings, TokenSpec, TrainingRun, TrainingSettings
from stages.models.prior import Prior
from stages.train_prior import CANDIDATES, MEASURED_AT_ONCE

GIB = 2**30
FULL = 4  # bytes of a number in float32
COPIES = 5  # of each weight: itself, its gradient, its average and two moments
MOST_WORKERS = 1_024
CHANGED = {  # by what is tried to make a training fit
    "run": ("workers", "shard", "shard_size", "activation_checkpointing", "micro_batch_size"),
    "fit": ("powersgd_parts",),
}
USABLE = 0.9  # of a GPU: the rest is for CUDA, kernels, and what the allocator cannot give out


class Weights(NamedTuple):
    """How many numbers a prior learns, and where."""

    matrices: int  # of all blocks
    vectors: int  # gains and biases, of all blocks and the last norm
    embeddings: int
    heads: int

    @property
    def total(self) -> int:
        """Count all."""
        return sum(self)


@cache  # asked again for each mesh that is tried
def weights_of(tokens: TokenSpec, shape: PriorShape) -> Weights:
    """Count a prior's weights, without making them."""
    with torch.device("meta"):
        prior = Prior(tokens, shape)
    inside = list(prior.blocks.parameters())
    matrices = sum(weight.numel() for weight in inside if weight.ndim == 2)
    vectors = [weight for weight in (*inside, *prior.norm.parameters()) if weight.ndim < 2]
    embeddings = [m for m in prior.modules() if isinstance(m, nn.Embedding)]
    heads = (*prior.text_head.parameters(), *prior.image_head.parameters())
    return Weights(
        matrices=matrices,
        vectors=sum(weight.numel() for weight in vectors),
        embeddings=prior.start.numel() + sum(m.weight.numel() for m in embeddings),
        heads=sum(weight.numel() for weight in heads),
    )


class Memory(NamedTuple):
    """Bytes on one worker."""

    states: int  # weights, gradients, average and moments, or its part of them
    activations: int  # kept for the backward pass, and of the block that is computed again
    logits: int  # and what becomes of them in the loss
    gathered: int  # whole weights and gradients for a while, and weights in 16 bits
    beside: int  # more than all that: while the optimizer works, or the first worker validates

    @property
    def total(self) -> int:
        """Add up."""
        return sum(self)


def memory_of(tokens: TokenSpec, shape: PriorShape, cfg: TrainingSettings) -> Memory:
    """Estimate what training takes on the fullest worker."""
    weights, sharers = weights_of(tokens, shape), cfg.run.sharers
    block = weights.matrices // shape.layers
    outside = weights.embeddings + weights.heads
    rows, half = rows_at_once(cfg), bytes_of_products(cfg)
    residual, whole_block = kept_of_a_block(tokens, shape, half)

    states = COPIES * FULL * weights.total // sharers
    if cfg.fit.powersgd_rank is not None:
        states += FULL * weights.matrices // sharers  # of gradients, what is still to be said
    again = cfg.run.activation_checkpointing
    activations = shape.layers * (residual if again else whole_block)
    activations += 2 * residual + (whole_block if again else 0)
    gathered = half * block * (1 if again else shape.layers) if half < FULL else 0
    if sharers > 1:  # of two blocks: the next one's weights are on their way, or gradients back
        gathered += 2 * FULL * (outside + 2 * block)
    learning = Memory(
        states=states,
        activations=rows * activations,
        logits=rows * 3 * FULL * logits_of(tokens),  # their softmax, its gradient and theirs
        gathered=gathered,
        beside=0,
    )
    stepping = FULL * weights.total // sharers if cfg.fit.variance_clip is not None else 0
    validating = validation(tokens, shape) + (FULL * weights.total if sharers > 1 else 0)
    more = max(states + max(stepping, validating) - learning.total, 0)
    return learning._replace(beside=more)


def kept_of_a_block(tokens: TokenSpec, shape: PriorShape, half: int) -> tuple[int, int]:
    """Return the bytes that one row leaves behind in a block: its input, and all that it keeps.

    The inputs of both norms are in float32. Of products, in units of the width: what the norms
    return (2), queries, keys and values (3), what was found (1), and the feed-forward's inside
    before and after its bend: 4 + 4, or with a gate 16/3 + 8/3 + 8/3.
    """
    units = 6 + (32 / 3 if shape.block == "llama" else 8)
    units += 2 * shape.qk_norm + 2 * (shape.positions == "rotary")  # other queries and keys
    in_full = 2 + 2 * shape.qk_norm  # inputs of norms
    slots = tokens.text_len + tokens.image_len
    residual = FULL * slots * shape.width
    statistics = FULL * slots * (shape.heads + 4)  # of the softmax, and of two norms
    inside = round(slots * shape.width * (in_full * FULL + units * half))
    return residual, inside + statistics


def validation(tokens: TokenSpec, shape: PriorShape) -> int:
    """Estimate what measuring and drawing take, in float32 and without gradients."""
    slots = tokens.text_len + tokens.image_len
    kept = 2 * shape.layers * CANDIDATES * slots * shape.width  # keys and values
    measured = MEASURED_AT_ONCE * max(10 * slots * shape.width, 2 * logits_of(tokens))
    return FULL * max(kept, measured)


def logits_of(tokens: TokenSpec) -> int:
    """Count the numbers that one row's heads return."""
    return tokens.text_len * (tokens.text_vocab + 1) + tokens.image_len * tokens.image_vocab


def rows_at_once(cfg: TrainingSettings) -> int:
    """Return the rows of a worker's forward pass."""
    rows, most = math.ceil(cfg.fit.batch_size / cfg.run.workers), cfg.run.micro_batch_size
    return rows if most is None else min(rows, most)


def bytes_of_products(cfg: TrainingSettings) -> int:
    """Return the bytes of a number that is multiplied; a GPU is taken to have 16-bit units."""
    kind = cfg.fit.precision
    return FULL if kind == "float32" or (kind == "auto" and not cfg.run.gpu) else 2


def gpu_memory(run: TrainingRun) -> float:
    """Return the bytes of a GPU: of the one in this machine, else as the setting says."""
    if torch.cuda.is_available():
        return float(torch.cuda.get_device_properties(0).total_memory)
    return run.gpu_memory_gib * GIB


def require_room(settings: Settings) -> None:
    """Raise ConfigError if the prior cannot be trained on GPUs like these, saying what would fit.

    What costs least comes first: fewer rows at once, then recomputing, then sharding, then more
    workers.
    """
    tokens, prior = settings.tokens, settings.prior
    room = USABLE * gpu_memory(prior.run)
    need = memory_of(tokens, prior, prior).total
    if not prior.run.gpu or need <= room:
        return
    found = next(
        (cfg for cfg in others(prior) if memory_of(tokens, prior, cfg).total <= room), None
    )
    most = most_workers(prior)
    advice = f"nor would any mesh of up to {most:,} GPUs do; make the model smaller"
    if found is not None:
        before, after = (cfg.run.model_dump() | cfg.fit.model_dump() for cfg in (prior, found))
        changed = [
            f"--set prior.{node}.{name}={json.dumps(after[name])}"
            for node, names in CHANGED.items()
            for name in names
            if after[name] != before[name]
        ]
        fits = memory_of(tokens, prior, found).total / GIB
        advice = f"{' '.join(changed)} fits ({fits:.0f} GiB)"
    raise ConfigError(
        f"train_prior: wanted at most {room / GIB:.0f} GiB per GPU ({USABLE:.0%} of its memory), "
        f"found {need / GIB:.0f} GiB; {advice}"
    )


def others(cfg: TrainingSettings) -> Iterator[TrainingSettings]:
    """Yield other ways to spread the same training, from the cheapest change on."""
    workers = cfg.run.workers
    recomputes = sorted({cfg.run.activation_checkpointing, True})
    while workers <= most_workers(cfg):
        for (shard, size), again in product(shares(cfg, workers), recomputes):
            how = {"workers": workers, "shard": shard, "shard_size": size,
                   "activation_checkpointing": again}  # fmt: skip
            run = cfg.run.model_copy(update=how)
            parts = 1 if cfg.fit.powersgd_rank is None else run.sharers
            fit = cfg.fit.model_copy(update={"powersgd_parts": parts})
            rows = rows_at_once(cfg.model_copy(update={"run": run}))
            while rows:
                smaller = run.model_copy(update={"micro_batch_size": rows})
                yield cfg.model_copy(update={"fit": fit, "run": smaller})
                rows //= 2
        workers *= 2


def most_workers(cfg: TrainingSettings) -> int:
    """Return how many GPUs are thought of; each wants a row of the batch."""
    return min(MOST_WORKERS, cfg.fit.batch_size)


def shares(cfg: TrainingSettings, workers: int) -> list[tuple[bool, int | None]]:
    """Return `shard` and `shard_size` of ways to share weights, from the least sharing on."""
    found: list[tuple[bool, int | None]] = [(cfg.run.shard, cfg.run.shard_size)]
    rank = cfg.fit.powersgd_rank  # compression is between copies: there must be some
    size = cfg.run.shard_size or (workers if rank is None else 1)
    while (size := 2 * size) < workers:
        if workers % size == 0 and (rank is None or rank % size == 0):
            found.append((True, size))
    if workers > 1 and rank is None:
        found.append((True, None))
    return list(dict.fromkeys(found))
