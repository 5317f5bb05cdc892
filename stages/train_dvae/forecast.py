"""What training the dVAE takes, as far as it can be said before it is tried."""

from schemas.forecast import Forecast, PlanLine
from schemas.settings import DvaeSettings
from stages.models.dvae import Dvae
from stages.models.flops import dvae_flops
from stages.models.on_meta import on_meta
from stages.numbers import byte_size, compact
from stages.training import forecast as training


def forecast(cfg: DvaeSettings) -> Forecast:
    with on_meta():
        dvae = Dvae(cfg, cfg.image_vocab)
    count = training.parameter_count(dvae)
    if cfg.pretrained:
        return Forecast(f"{compact(count)} weights, copied")
    flops = 3 * dvae_flops(dvae, cfg.side) * cfg.fit.steps * cfg.fit.batch_size
    states = training.FLOAT32 * training.in_memory(count, cfg.fit) // cfg.run.shard_group_size
    lines = (
        PlanLine("weights", f"{count:,}"),
        PlanLine("operations of the run", f"{flops:.3g} FLOP"),
        *training.time_lines(flops, cfg.run),
        training.checkpoint_line(count, cfg.fit),
        PlanLine("memory of a worker", byte_size(states), "and activations, not estimated"),
    )
    return Forecast(training.cost(count, flops), lines)
