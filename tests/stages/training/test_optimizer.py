import math

import pytest
import torch
from torch import nn

from schemas.configs import FitSettings
from stages.training import optimizer


def fit_settings(**changes):
    common = {"steps": 10, "batch_size": 1, "lr": 0.1, "lr_end": 0.1, "ema_share": 0.1}
    return FitSettings(**(common | changes))


def by_hand(gradients, *, start, lr, beta1, beta2, decay, clip):
    """AdamW of one number, the running variance clipped before it is used and kept."""
    weight, mean, variance = start, 0.0, 0.0
    for t, gradient in enumerate(gradients, start=1):
        weight *= 1 - lr * decay
        mean = beta1 * mean + (1 - beta1) * gradient
        variance = min(beta2 * variance + (1 - beta2) * gradient**2, clip)
        root = math.sqrt(variance / (1 - beta2**t))
        weight -= lr * mean / (1 - beta1**t) / (root + 1e-8)
    return weight


@pytest.mark.parametrize("clip", [5.0, 1e9])
def test_the_running_variance_is_clipped_by_value_before_use(clip):
    fit = fit_settings(beta2=0.96, weight_decay=0.045, variance_clip=clip)
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    adam = optimizer.make(model, fit)
    gradients = [20.0, -3.0, 0.5, 30.0, 0.1]  # 0.04 * 20^2 = 16 is over 5 at the first step
    for gradient in gradients:
        model.weight.grad = torch.full((1, 1), gradient)
        adam.step()
    expected = by_hand(gradients, start=2.0, lr=0.1, beta1=0.9, beta2=0.96, decay=0.045, clip=clip)
    assert model.weight.item() == pytest.approx(expected, rel=1e-5)
    assert adam.state[model.weight]["exp_avg_sq"].item() <= clip * (1 + 1e-6)


def test_without_a_bound_it_is_torchs_adamw():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    adam = optimizer.make(ours, fit_settings(weight_decay=0.1))
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        gradient = torch.randn(2, 3)
        ours.weight.grad, theirs.weight.grad = gradient.clone(), gradient.clone()
        adam.step()
        reference.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_gains_and_biases_do_not_decay():
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    matrices, rest = optimizer.make(model, fit_settings(weight_decay=0.5)).param_groups
    assert [tuple(w.shape) for w in matrices["params"]] == [(2, 2)]
    assert len(rest["params"]) == 3
    assert (matrices["weight_decay"], rest["weight_decay"]) == (0.5, 0.0)
