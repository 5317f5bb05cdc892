"""How much memory training the prior takes on each worker, and what would make it fit.

Counted are tensors that live at the fullest moment of an update, or of a validation on rank 0.
Parameters and all that belongs to them are in float32; products may be in 16 bits.
"""

import json
import math
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from torch import nn

from schemas.settings import PriorSettings, PriorShape, TokenSpec
from stages.models.on_meta import on_meta
from stages.models.prior import Prior
from stages.train_prior.task import CANDIDATES, VALIDATION_BATCH_SIZE
from stages.training.forecast import FLOAT32, GIB, gpu_memory, in_memory

MOST_WORKERS = 1_024
USABLE = 0.9  # of a GPU: the rest is for CUDA, kernels, and what the allocator cannot give out
CHANGED = {  # settings that are tried to make a training fit
    "run": ("workers", "shard", "shard_size", "activation_checkpointing", "micro_batch_size"),
    "fit": ("powersgd_parts",),
}


class Parameters(NamedTuple):
    """How many numbers a prior learns, and where."""

    matrices: int  # of all layers
    vectors: int  # gains and biases, of all layers and the last norm
    embeddings: int
    heads: int

    @property
    def total(self) -> int:
        return sum(self)


def parameters_of(cfg: PriorSettings) -> Parameters:
    with on_meta():
        prior = Prior(cfg.tokens, cfg)
    inside = list(prior.blocks.parameters())
    vectors = [weight for weight in (*inside, *prior.norm.parameters()) if weight.ndim < 2]
    embeddings = [m for m in prior.modules() if isinstance(m, nn.Embedding)]
    heads = (*prior.text_head.parameters(), *prior.image_head.parameters())
    return Parameters(
        matrices=sum(weight.numel() for weight in inside if weight.ndim == 2),
        vectors=sum(weight.numel() for weight in vectors),
        embeddings=prior.start.numel() + sum(m.weight.numel() for m in embeddings),
        heads=sum(weight.numel() for weight in heads),
    )


class Memory(NamedTuple):
    """Bytes on one worker."""

    states: int  # parameters, gradients, EMA and moments, or its part of them
    activations: int  # kept for the backward pass, and of the layer that is recomputed
    logits: int  # and what becomes of them in the loss
    gathered: int  # whole weights and gradients of a layer, and weights in 16 bits
    extra_peak: int  # beyond all that, in the optimizer step or in validation on rank 0

    @property
    def total(self) -> int:
        return sum(self)


def memory_of(cfg: PriorSettings, parameters: Parameters) -> Memory:
    """Estimate what training takes on the fullest worker."""
    parts, checkpointing = cfg.run.shard_group_size, cfg.run.activation_checkpointing
    layer = parameters.matrices // cfg.layers
    outside = parameters.embeddings + parameters.heads
    rows, itemsize = rows_per_pass(cfg), product_itemsize(cfg)
    residual, whole_layer = kept_of_a_layer(cfg.tokens, cfg, itemsize, cfg.dropout)

    states = FLOAT32 * in_memory(parameters.total, cfg.fit, parameters.matrices) // parts
    if cfg.fit.powersgd_rank is not None:
        states += FLOAT32 * parameters.matrices // parts  # the errors
    activations = cfg.layers * (residual if checkpointing else whole_layer)
    activations += 2 * residual + (whole_layer if checkpointing else 0)
    gathered = 0
    if itemsize < FLOAT32:
        gathered = itemsize * layer * (1 if checkpointing else cfg.layers)
    if parts > 1:  # of two layers: the next one's weights are on their way, or gradients back
        gathered += 2 * FLOAT32 * (outside + 2 * layer)
    training = Memory(
        states=states,
        activations=rows * activations,
        logits=rows * 3 * FLOAT32 * logits_of(cfg.tokens),  # and softmax, and gradients
        gathered=gathered,
        extra_peak=0,
    )
    whole = FLOAT32 * parameters.total
    stepping = whole // parts if cfg.fit.variance_clip is not None else 0
    if cfg.fit.optimizer == "muon":
        stepping = whole - FLOAT32 * parameters.matrices + 2 * FLOAT32 * layer
    validating = validation_memory(cfg) + (whole if parts > 1 else 0)
    extra = max(states + max(stepping, validating) - training.total, 0)
    return training._replace(extra_peak=extra)


def kept_of_a_layer(
    tokens: TokenSpec, shape: PriorShape, itemsize: int, dropout: float = 0.0
) -> tuple[int, int]:
    """Return the bytes of one row that a layer keeps: its input alone, and everything.

    The inputs of both norms are in float32. Of products, in units of the width: outputs of the
    norms (2), queries, keys and values (3), output of attention (1), and the feed-forward network
    before and after its activation: 4 + 4, or with a gate 16/3 + 8/3 + 8/3. What dropout leaves out
    is marked in two more.
    """
    units = 6 + (32 / 3 if shape.block == "llama" else 8)
    units += 2 * shape.qk_norm + 2 * (shape.positions == "rotary")  # other queries and keys
    units += 2 * (dropout > 0)
    in_float32 = 2 + 2 * shape.qk_norm  # inputs of norms
    slots = tokens.text_len + tokens.image_len
    residual = FLOAT32 * slots * shape.width
    statistics = FLOAT32 * slots * (shape.heads + 4)  # of the softmax, and of two norms
    inside = round(slots * shape.width * (in_float32 * FLOAT32 + units * itemsize))
    return residual, inside + statistics


def validation_memory(cfg: PriorSettings) -> int:
    """Estimate what measuring and drawing take, in float32 and without gradients."""
    slots = cfg.tokens.text_len + cfg.tokens.image_len
    kv_cache = 2 * cfg.layers * CANDIDATES * slots * cfg.width
    measured = VALIDATION_BATCH_SIZE * max(10 * slots * cfg.width, 2 * logits_of(cfg.tokens))
    return FLOAT32 * max(kv_cache, measured)


def logits_of(tokens: TokenSpec) -> int:
    return tokens.text_len * (tokens.text_vocab + 1) + tokens.image_len * tokens.image_vocab


def rows_per_pass(cfg: PriorSettings) -> int:
    rows, most = math.ceil(cfg.fit.batch_size / cfg.run.workers), cfg.run.micro_batch_size
    return rows if most is None else min(rows, most)


def product_itemsize(cfg: PriorSettings) -> int:
    """Return the bytes of a number in a product; a GPU is taken to have 16-bit units."""
    precision = cfg.fit.precision
    in_float32 = precision == "float32" or (precision == "auto" and not cfg.run.gpu)
    return FLOAT32 if in_float32 else 2


def refusal(cfg: PriorSettings, parameters: Parameters) -> str:
    """Say why the prior cannot be trained on such GPUs, and what would fit; empty if it can.

    What costs least is tried first: fewer rows per pass, then activation checkpointing, then
    sharding, then more workers.
    """
    room = USABLE * gpu_memory(cfg.run)
    need = memory_of(cfg, parameters).total
    if not cfg.run.gpu or need <= room:
        return ""
    advice = f"nor would any mesh of up to {most_workers(cfg):,} GPUs do; make the model smaller"
    for other in alternatives(cfg):
        fits = memory_of(other, parameters).total
        if fits <= room:
            changed = [
                f"--set prior.{node}.{name}={json.dumps(after)}"
                for node, names in CHANGED.items()
                for name in names
                if (after := getattr(getattr(other, node), name))
                != getattr(getattr(cfg, node), name)
            ]
            advice = f"{' '.join(changed)} fits ({fits / GIB:.0f} GiB)"
            break
    return (
        f"train_prior: wanted at most {room / GIB:.0f} GiB per GPU ({USABLE:.0%} of its memory), "
        f"found {need / GIB:.0f} GiB; {advice}"
    )


def alternatives(cfg: PriorSettings) -> Iterator[PriorSettings]:
    """Yield other ways to run the same training, from the cheapest change on."""
    workers = cfg.run.workers
    checkpointing = sorted({cfg.run.activation_checkpointing, True})
    while workers <= most_workers(cfg):
        for (shard, size), again in product(sharding(cfg, workers), checkpointing):
            how = {"workers": workers, "shard": shard, "shard_size": size}
            run = cfg.run.model_copy(update=how | {"activation_checkpointing": again})
            parts = 1 if cfg.fit.powersgd_rank is None else run.shard_group_size
            fit = cfg.fit.model_copy(update={"powersgd_parts": parts})
            rows = rows_per_pass(cfg.model_copy(update={"run": run}))
            while rows:
                smaller = run.model_copy(update={"micro_batch_size": rows})
                yield cfg.model_copy(update={"fit": fit, "run": smaller})
                rows //= 2
        workers *= 2


def most_workers(cfg: PriorSettings) -> int:
    """Return how many GPUs are considered; each needs a row of the batch."""
    return min(MOST_WORKERS, cfg.fit.batch_size)


def sharding(cfg: PriorSettings, workers: int) -> list[tuple[bool, int | None]]:
    """Return `shard` and `shard_size` of ways to share weights, from the least sharing on."""
    found: list[tuple[bool, int | None]] = [(cfg.run.shard, cfg.run.shard_size)]
    if cfg.fit.optimizer == "muon":  # on whole matrices
        return found
    rank = cfg.fit.powersgd_rank  # compression is between copies: there must be some
    size = cfg.run.shard_size or (workers if rank is None else 1)
    while (size := 2 * size) < workers:
        if workers % size == 0 and (rank is None or rank % size == 0):
            found.append((True, size))
    if workers > 1 and rank is None:
        found.append((True, None))
    return list(dict.fromkeys(found))
