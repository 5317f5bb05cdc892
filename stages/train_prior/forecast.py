"""What training the prior takes, before it begins, beside the paper's figures."""

from collections.abc import Iterator

from torch import Tensor

from schemas.forecast import Forecast, PlanLine
from schemas.settings import PriorSettings, PriorShape
from stages.models.flops import allowed_pairs, prior_flops
from stages.models.on_meta import on_meta
from stages.models.prior import Prior
from stages.numbers import byte_size
from stages.train_prior.memory import Parameters, memory_of, parameters_of, refusal, rows_per_pass
from stages.training import forecast as training
from stages.training.forecast import FLOAT32
from stages.training.powersgd import fused, is_worth_it

PAPER_WEIGHTS = 12.0e9
PAPER_FLOPS = 4.06e22  # 6 x 12.0e9 weights x 1,280 tokens x 1,024 rows x 430,000 updates


def forecast(cfg: PriorSettings) -> Forecast:
    parameters = parameters_of(cfg)
    rows = cfg.fit.steps * cfg.fit.batch_size
    flops = 3 * prior_flops(cfg.tokens, cfg) * rows
    paper = (cfg.layers, cfg.width) == (PriorShape().layers, PriorShape().width)
    lines = [
        *parameter_lines(cfg, parameters, paper),
        *operation_lines(cfg, flops, parameters, paper),
        *training.time_lines(flops, cfg.run),
        training.checkpoint_line(parameters.total, cfg.fit, parameters.matrices),
        PlanLine(
            "the finished model", byte_size(FLOAT32 * parameters.total), "the EMA, in float32"
        ),
        *memory_lines(cfg, parameters, paper),
        *traffic_lines(cfg, parameters, paper),
    ]
    return Forecast(training.cost(parameters.total, flops), lines, refusal(cfg, parameters))


def parameter_lines(cfg: PriorSettings, parameters: Parameters, paper: bool) -> Iterator[PlanLine]:
    more = parameters.total / PAPER_WEIGHTS - 1
    remark = f"paper: 12.0 B, so {more:+.1%}" if paper else ""
    yield PlanLine("weights", f"{parameters.total:,}", remark)
    formula = f"12 x {cfg.width:,}² x {cfg.layers}" if cfg.block == "gpt" else ""
    yield PlanLine("  matrices of layers", f"{parameters.matrices:,}", formula)
    yield PlanLine("  gains and biases", f"{parameters.vectors:,}")
    yield PlanLine("  embeddings", f"{parameters.embeddings:,}", "of tokens, pads and positions")
    yield PlanLine("  heads", f"{parameters.heads:,}", "one for text, one for codes, not tied")


def operation_lines(
    cfg: PriorSettings, flops: int, parameters: Parameters, paper: bool
) -> Iterator[PlanLine]:
    fit, tokens = cfg.fit, cfg.tokens
    rows, slots = fit.steps * fit.batch_size, tokens.text_len + tokens.image_len
    attention = 12 * cfg.width * allowed_pairs(tokens, cfg) * rows / flops
    simple = 6 * parameters.total * slots * rows
    yield PlanLine("operations of the run", f"{flops:.3g} FLOP", f"{attention:.1%} of it attention")
    yield PlanLine("  6 x weights x tokens", f"{simple:.3g} FLOP",
               f"paper: {PAPER_FLOPS:.3g}" if paper else "")  # fmt: skip
    yield PlanLine("  updates x rows", f"{fit.steps:,} x {fit.batch_size:,}",
               "paper: 430,000 x 1,024" if paper else "")  # fmt: skip


def memory_lines(cfg: PriorSettings, parameters: Parameters, paper: bool) -> Iterator[PlanLine]:
    memory = memory_of(cfg, parameters)
    of = f" of {training.gpu_memory(cfg.run) / training.GIB:.0f}" if cfg.run.gpu else ""
    yield PlanLine("memory of a worker", f"{byte_size(memory.total)}{of}", training.mesh(cfg.run))
    yield PlanLine("  states", byte_size(memory.states), "parameters, gradients, EMA, moments")
    yield PlanLine(
        "  activations", byte_size(memory.activations), f"{rows_per_pass(cfg):,} rows per pass"
    )
    yield PlanLine("  logits", byte_size(memory.logits), "and their gradients")
    yield PlanLine("  weights in use", byte_size(memory.gathered), "gathered, or in 16 bits")
    yield PlanLine("  extra peak", byte_size(memory.extra_peak), "in optimizer step or validation")
    if paper:
        yield PlanLine("", "", "paper: 1,024 V100 of 16 GB")


def traffic_lines(cfg: PriorSettings, parameters: Parameters, paper: bool) -> Iterator[PlanLine]:
    """Say what goes from copy to copy of the weights; nothing where there is one."""
    copies, rank = cfg.run.workers // cfg.run.shard_group_size, cfg.fit.powersgd_rank
    if copies == 1:
        return
    sent, whole = sent_between_copies(cfg, parameters)
    yield PlanLine(f"between {copies:,} copies", byte_size(sent), "per worker and update")
    how = "all gradients" if rank is None else f"rank {rank}, {1 - sent / whole:.0%} less than all"
    yield PlanLine("", "", how + ("; paper: 86%" if paper and rank is not None else ""))


def sent_between_copies(cfg: PriorSettings, parameters: Parameters) -> tuple[int, int]:
    """Return the bytes that a worker sends in an update, and those of its whole gradients."""
    parts, rank = cfg.run.shard_group_size, cfg.fit.powersgd_rank
    whole = FLOAT32 * parameters.total // parts
    if rank is None:
        return whole, whole
    with on_meta():
        layer = Prior(cfg.tokens, cfg).blocks[0]
    compressed = [weight for weight in layer.parameters() if is_worth_it(weight, rank)]
    factors = sum(factor_numbers(weight, rank, parts) for weight in compressed)
    rest = parameters.total - cfg.layers * sum(weight.numel() for weight in compressed)
    return FLOAT32 * (cfg.layers * factors + rest // parts), whole


def factor_numbers(weight: Tensor, rank: int, parts: int) -> int:
    """Count the numbers in the thin factors of a worker's part of a matrix (paper: table 2).

    A part is cut along the longer side; queries, keys and values are compressed each by itself.
    """
    rows, columns = weight.shape[0] // fused(weight), weight.shape[1]
    sides = (rows, columns // parts) if columns > rows else (rows // parts, columns)
    return fused(weight) * min(rank // parts, *sides) * sum(sides)
