"""What a stage will cost, before it runs: parameters and floating-point operations."""

import re

import torch
from torch import nn

from pipelines.planner import Step
from schemas.artifacts import DVAE, PRIOR, SAMPLES
from schemas.configs import FitSettings, Settings
from stages.models.dvae import GROUPS, Dvae
from stages.models.prior import Prior


def cost_of(step: Step, settings: Settings) -> str:
    """Return one phrase for people; empty for stages whose cost depends on unseen data."""
    tokens = settings.tokens
    if step.stage.writes == PRIOR:
        with torch.device("meta"):
            weights = parameters(Prior(tokens, settings.prior))
        length = tokens.text_len + tokens.image_len
        return _training(weights, 6 * weights * length, settings.prior.fit)
    if step.stage.writes == DVAE:
        with torch.device("meta"):
            dvae = Dvae(settings.dvae, tokens.image_vocab)
        if settings.dvae.pretrained:
            return f"{_short(parameters(dvae))} weights, taken over"
        return _training(parameters(dvae), 3 * forward_flops(dvae, tokens.side), settings.dvae.fit)
    if step.stage.writes == SAMPLES:
        return f"{settings.sample.candidates} candidates a prompt"
    return ""


def parameters(module: nn.Module) -> int:
    """Count the numbers that are learned."""
    return sum(p.numel() for p in module.parameters())


def forward_flops(dvae: Dvae, side: int) -> int:
    """Count multiplications and additions of all convolutions for one picture."""
    convolutions = {n: m for n, m in dvae.named_modules() if isinstance(m, nn.Conv2d)}
    return sum(
        2 * convolution.weight.numel() * (side // _reduction(name)) ** 2
        for name, convolution in convolutions.items()
    )


def _reduction(name: str) -> int:
    """Return how many pixels of the picture one pixel stands for, along a side, at a layer."""
    group = re.search(r"group_(\d)", name)
    if group is not None:
        halvings = int(group[1]) - 1
        return 2 ** (halvings if name.startswith("encoder") else GROUPS - 1 - halvings)
    full_size = ("encoder.blocks.input", "decoder.blocks.output")
    return 1 if name.startswith(full_size) else 2 ** (GROUPS - 1)


def _training(weights: int, flops_per_row: int, fit: FitSettings) -> str:
    flops = flops_per_row * fit.batch_size * fit.steps
    return f"{_short(weights)} weights, {flops:.1e} FLOP"


def _short(count: float) -> str:
    for unit in ("", " k", " M", " B"):
        if count < 1000 or unit == " B":
            return f"{count:.3g}{unit}"
        count /= 1000
    raise AssertionError("the last unit always returns")
