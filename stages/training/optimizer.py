"""The optimizer of a run: AdamW as the paper uses it, or Muon for the matrices inside layers.

Weight decay is of matrices, convolutions and embeddings only.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from schemas.settings import FitSettings
from stages.training.clipped_adamw import ClippedAdamW
from stages.training.muon import Muon
from stages.training.precision import product_type


def make(
    model: nn.Module, fit: FitSettings, layers: Iterable[nn.Module] = ()
) -> torch.optim.Optimizer:
    """Return the optimizer of a run; gains and biases (under two dimensions) do not decay.

    `layers` are those whose matrices learn by Muon, if the settings ask for it.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    matrices = matrices_of(layers) if fit.optimizer == "muon" else []
    rest = [weight for weight in weights if all(weight is not one for one in matrices)]
    groups = [
        {"params": [w for w in rest if w.ndim >= 2], "weight_decay": fit.weight_decay},
        {"params": [w for w in rest if w.ndim < 2], "weight_decay": 0.0},
    ]
    betas = (fit.beta1, fit.beta2)
    options: dict[str, Any] = {"lr": fit.learning_rate, "betas": betas, "eps": 1e-8}
    made: torch.optim.Optimizer
    if fit.optimizer == "muon":
        groups.append({"params": matrices, "weight_decay": fit.weight_decay, "muon": True})
        clip = math.inf if fit.variance_clip is None else fit.variance_clip
        made = Muon(groups, variance_clip=clip, product=muon_product(fit, weights), **options)
    elif fit.variance_clip is not None:
        made = ClippedAdamW(groups, variance_clip=fit.variance_clip, **options)
    else:
        made = torch.optim.AdamW(groups, fused=True, **options)
    for weight in rest:  # a checkpoint is loaded before the first step
        made.state[weight] = fresh_moments(weight)
    for weight in matrices:
        made.state[weight] = {"exp_avg": torch.zeros_like(weight)}
    return made


def matrices_of(layers: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the matrices inside layers that learn."""
    inside = (weight for layer in layers for weight in layer.parameters())
    return [weight for weight in inside if weight.ndim == 2 and weight.requires_grad]


def muon_product(fit: FitSettings, weights: list[nn.Parameter]) -> torch.dtype:
    """Return the type of Muon's products: 16 bits where the model's have as many."""
    found = product_type(fit.precision, weights[0].device)
    return torch.float32 if found == torch.float32 else torch.bfloat16


def fresh_moments(weight: nn.Parameter) -> dict[str, Tensor]:
    """Return a weight's optimizer state before its first gradient, laid out as torch does."""
    return {
        "step": torch.zeros((), dtype=torch.float32, device=weight.device),
        "exp_avg": torch.zeros_like(weight),
        "exp_avg_sq": torch.zeros_like(weight),
    }
