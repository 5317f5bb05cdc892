"""What training takes, before it begins; of the prior beside the figures of the paper."""

from typing import NamedTuple

import torch

from pipelines.memory import (
    COPIES,
    FULL,
    GIB,
    Weights,
    gpu_memory,
    memory_of,
    rows_at_once,
    weights_of,
)
from pipelines.traffic import sent_between_copies
from schemas.settings import PriorShape, Settings, TrainingRun
from stages.models.dvae import Dvae
from stages.models.flops import allowed_pairs, dvae_flops, prior_flops
from stages.training.peaks import SHEETS, sheet_of

KEPT = 4  # numbers of a weight in a checkpoint: itself, its average, two moments
ASSUMED = 0.4  # of a GPU's peak, with what is computed again; the paper says nothing of its own
PAPER_WEIGHTS = 12.0e9
PAPER_FLOPS = 4.06e22  # 6 x 12.0e9 weights x 1,280 tokens x 1,024 rows x 430,000 updates


class Line(NamedTuple):
    """One line of the plan: ours, and the paper's or a reason."""

    what: str
    ours: str
    beside: str = ""


def prior_lines(settings: Settings) -> list[Line]:
    """Return weights, operations, memory and time of the prior's training."""
    tokens, prior = settings.tokens, settings.prior
    weights = weights_of(tokens, prior)
    return [
        *weight_lines(weights, prior),
        *operation_lines(settings, weights),
        Line("a checkpoint", size(KEPT * FULL * weights.total), "weights, average, two moments"),
        Line("the finished model", size(FULL * weights.total), "the average, in float32"),
        *memory_lines(settings),
        *traffic_lines(settings),
    ]


def dvae_lines(settings: Settings) -> list[Line]:
    """Return the same of the dVAE, as far as it can be said before it is tried."""
    fit, side = settings.dvae.fit, settings.tokens.side
    with torch.device("meta"):
        dvae = Dvae(settings.dvae, settings.tokens.image_vocab)
    weights = sum(weight.numel() for weight in dvae.parameters())
    flops = 3 * dvae_flops(dvae, side) * fit.steps * fit.batch_size
    return [
        Line("weights", f"{weights:,}"),
        Line("operations of the run", f"{flops:.3g} FLOP"),
        *time_lines(flops, settings.dvae.run),
        Line("a checkpoint", size(KEPT * FULL * weights), "weights, average, two moments"),
        Line("memory of a worker", size(COPIES * FULL * weights // settings.dvae.run.sharers),
             "and activations, not estimated"),
    ]  # fmt: skip


def is_papers(prior: PriorShape) -> bool:
    """Say whether a transformer has the paper's size."""
    return (prior.layers, prior.width) == (PriorShape().layers, PriorShape().width)


def weight_lines(weights: Weights, prior: PriorShape) -> list[Line]:
    """Itemise what is learned."""
    beside = ""
    if is_papers(prior):
        more = weights.total / PAPER_WEIGHTS - 1
        beside = f"paper: 12.0 B, so {more:+.1%}"
    return [
        Line("weights", f"{weights.total:,}", beside),
        Line("  matrices of blocks", f"{weights.matrices:,}",
             f"12 x {prior.width:,}² x {prior.layers}" if prior.block == "gpt" else ""),
        Line("  gains and biases", f"{weights.vectors:,}"),
        Line("  embeddings", f"{weights.embeddings:,}", "of tokens, pads and positions"),
        Line("  heads", f"{weights.heads:,}", "one for text, one for codes, not tied"),
    ]  # fmt: skip


def operation_lines(settings: Settings, weights: Weights) -> list[Line]:
    """Count the run's operations, and the time they take where a GPU makes them."""
    tokens, prior, fit = settings.tokens, settings.prior, settings.prior.fit
    rows, slots = fit.steps * fit.batch_size, tokens.text_len + tokens.image_len
    flops = 3 * prior_flops(tokens, prior) * rows
    attention = 12 * prior.width * allowed_pairs(tokens, prior) * rows / flops
    found = [
        Line("operations of the run", f"{flops:.3g} FLOP", f"{attention:.1%} of it attention"),
        Line("  6 x weights x tokens", f"{6 * weights.total * slots * rows:.3g} FLOP",
             f"paper: {PAPER_FLOPS:.3g}" if is_papers(prior) else ""),
        Line("  updates x rows", f"{fit.steps:,} x {fit.batch_size:,}",
             "paper: 430,000 x 1,024" if is_papers(prior) else ""),
    ]  # fmt: skip
    return found + time_lines(flops, prior.run)


def time_lines(flops: float, run: TrainingRun) -> list[Line]:
    """Say how long operations take on the GPUs of a run; nothing where it has none."""
    if not run.gpu:
        return []
    name, peak = gpu_peak()
    again = 4 / 3 if run.activation_checkpointing else 1  # of three parts the forward pass is one
    days = flops * again / (ASSUMED * peak * run.workers) / 86_400
    how = f"at {ASSUMED:.0%} of {peak / 1e12:,.0f} TFLOP/s ({name})"
    found = [Line("time", f"{days:,.1f} days", how)]
    if run.activation_checkpointing:
        found.append(Line("", "", "and a third more for recomputing"))
    return found


def gpu_peak() -> tuple[str, float]:
    """Return the name and the peak of the GPU in this machine, else of the H200."""
    if torch.cuda.is_available():
        here = sheet_of(torch.cuda.get_device_name())
        if here is not None:
            return here, SHEETS[here]
    return "H200", SHEETS["H200"]


def memory_lines(settings: Settings) -> list[Line]:
    """Itemise a worker's memory."""
    prior, run = settings.prior, settings.prior.run
    memory = memory_of(settings.tokens, prior, prior)
    of = f" of {gpu_memory(run) / GIB:.0f}" if run.gpu else ""
    found = [
        Line("memory of a worker", f"{size(memory.total)}{of}", mesh(run)),
        Line("  weights and theirs", size(memory.states), "gradients, average, two moments"),
        Line("  activations", size(memory.activations), f"{rows_at_once(prior):,} rows at once"),
        Line("  logits", size(memory.logits), "and their gradients"),
        Line("  weights in use", size(memory.gathered), "gathered, or in 16 bits"),
        Line("  at another time", size(memory.beside), "more, to step or to validate"),
    ]
    if is_papers(settings.prior):
        found.append(Line("", "", "paper: 1,024 V100 of 16 GB"))
    return found


def traffic_lines(settings: Settings) -> list[Line]:
    """Say what goes from copy to copy of the weights; nothing where there is one."""
    prior, rank = settings.prior, settings.prior.fit.powersgd_rank
    copies = prior.run.workers // prior.run.sharers
    if copies == 1:
        return []
    sent, whole = sent_between_copies(settings.tokens, prior, prior)
    saved = f"{1 - sent / whole:.0%} less than all"
    how = "all gradients" if rank is None else f"rank {rank}, {saved}"
    if is_papers(prior) and rank is not None:
        how += "; paper: 86%"
    return [
        Line(f"between {copies:,} copies", size(sent), "of a worker, in each update"),
        Line("", "", how),
    ]


def mesh(run: TrainingRun) -> str:
    """Say how a run is spread."""
    kind = "GPU" if run.gpu else "worker"
    words = [f"{run.workers:,} {kind}{'s' if run.workers > 1 else ''}"]
    if run.sharers > 1:
        words.append("sharded" if run.sharers == run.workers else f"sharded by {run.shard_size}")
    words += ["recomputed"] if run.activation_checkpointing else []
    return ", ".join(words)


def size(count: float) -> str:
    """Write bytes in the unit that suits them."""
    if not count:
        return "none"
    for unit in ("KiB", "MiB"):
        count /= 1024
        if count < 999.5:
            return f"{count:.3g} {unit}"
    return f"{count / 1024:.3g} GiB"
