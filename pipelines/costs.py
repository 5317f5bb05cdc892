"""What a stage will cost, before it runs: parameters and floating-point operations."""

import torch
from torch import nn

from pipelines.memory import weights_of
from pipelines.planner import Step
from schemas.artifacts import DVAE, PRIOR, SAMPLES
from schemas.settings import FitSettings, Settings
from stages.models.dvae import Dvae
from stages.models.flops import dvae_flops, prior_flops


def cost_of(step: Step, settings: Settings) -> str:
    """Return one phrase for people; empty for stages whose cost depends on unseen data."""
    tokens = settings.tokens
    if step.stage.writes == PRIOR:
        weights = weights_of(tokens, settings.prior).total
        return _training(weights, 3 * prior_flops(tokens, settings.prior), settings.prior.fit)
    if step.stage.writes == DVAE:
        with torch.device("meta"):
            dvae = Dvae(settings.dvae, tokens.image_vocab)
        if settings.dvae.pretrained:
            return f"{_short(parameters(dvae))} weights, taken over"
        return _training(parameters(dvae), 3 * dvae_flops(dvae, tokens.side), settings.dvae.fit)
    if step.stage.writes == SAMPLES:
        return f"{settings.sample.candidates} candidates a prompt"
    return ""


def parameters(module: nn.Module) -> int:
    """Count the numbers that are learned."""
    return sum(p.numel() for p in module.parameters())


def _training(weights: int, flops_per_row: int, fit: FitSettings) -> str:
    flops = flops_per_row * fit.batch_size * fit.steps
    return f"{_short(weights)} weights, {flops:.1e} FLOP"


def _short(count: float) -> str:
    for unit in ("", " k", " M", " B"):
        if count < 1000 or unit == " B":
            return f"{count:.3g}{unit}"
        count /= 1000
    raise AssertionError("the last unit always returns")
