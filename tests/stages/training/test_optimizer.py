import math

import pytest
import torch
from torch import nn

from schemas.settings import FitSettings
from stages.training import optimizer
from tests.stages.training.toy import Deep, settings
from tests.stages.training.workers import learn, saved


def fit_settings(**changes):
    common = {"steps": 10, "batch_size": 1, "ema_share": 0.1}
    return FitSettings(learning_rate=0.1, learning_rate_end=0.1, **common | changes)


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


# up to the largest there is, and far beyond those whose squares a float32 holds
SIZES = (1e-30, 1e-4, 0.3, 1.0, 3e4, 1e5, 1e7, 1e15, 1.8e19, 1e25, 1.7e38)
HALF = (1e-7, 1e-3, 1.0, 60.0, 3e3, 6e4)  # of what float16 can hold


@pytest.mark.parametrize(
    ("kind", "sizes", "tolerance"),
    [
        (torch.float32, SIZES, 1e-6),
        (torch.float64, (*SIZES, 1e150, 1e300), 1e-12),
        (torch.bfloat16, SIZES, 2e-2),
        (torch.float16, HALF, 2e-3),
    ],
)
def test_the_variance_is_the_smaller_of_both_for_every_finite_gradient(kind, sizes, tolerance):
    """v = min(b2 v + (1 - b2) g^2, 5), and every weight stays finite."""
    weight = nn.Parameter(torch.zeros(len(sizes), 64, dtype=kind))
    adam = optimizer.make(weight_holder(weight), fit_settings(beta2=0.96, variance_clip=5.0))
    chance = torch.Generator().manual_seed(0)
    wanted = torch.zeros(len(sizes), 64, dtype=torch.float64)
    for _ in range(4):
        gradient = torch.randn(wanted.shape, generator=chance, dtype=torch.float64).clamp(-2, 2)
        gradient = (gradient / 2 * torch.tensor(sizes, dtype=torch.float64)[:, None]).to(kind)
        weight.grad = gradient.clone()
        adam.step()
        wanted = (0.96 * wanted + 0.04 * gradient.double() ** 2).clamp(max=5.0)
        found = adam.state[weight]["exp_avg_sq"].double()
        smallest = torch.finfo(kind).tiny  # what is squared below it is nothing, or rounded
        torch.testing.assert_close(found, wanted, rtol=4 * tolerance, atol=smallest)
        assert found.min() >= 0
        assert found.max() <= 5
        assert weight.isfinite().all() or kind == torch.float16  # in which eps is nothing


def weight_holder(*weights):
    holder = nn.Module()
    for number, weight in enumerate(weights):
        holder.register_parameter(f"weight {number}", weight)
    return holder


def test_a_gradient_of_nothing_after_a_huge_one_leaves_the_variance_below_its_bound():
    weight = nn.Parameter(torch.zeros(3))
    adam = optimizer.make(weight_holder(weight), fit_settings(beta2=0.96, variance_clip=5.0))
    for times, gradient in enumerate([[1e30, -1e30, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]):
        weight.grad = torch.tensor(gradient)
        adam.step()
        expected = [5 * 0.96**times, 5 * 0.96**times, 0.0]
        assert adam.state[weight]["exp_avg_sq"].tolist() == pytest.approx(expected)
    assert weight[2] == 0


@pytest.mark.parametrize("clip", [None, 1e30])
def test_without_a_bound_it_is_torchs_adamw(clip):
    torch.manual_seed(0)
    ours, theirs = (nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 3)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    adam = optimizer.make(ours, fit_settings(beta2=0.96, variance_clip=clip))
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.1, betas=(0.9, 0.96), weight_decay=0)
    for _ in range(20):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        adam.step()
        reference.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
        for name, value in reference.state[other].items():
            torch.testing.assert_close(adam.state[one][name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("clip", [None, 5.0])
def test_a_weight_without_a_gradient_stays_as_it_is_and_counts_no_update(clip):
    used, unused = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    model = weight_holder(used, unused)
    adam = optimizer.make(model, fit_settings(weight_decay=0.5, variance_clip=clip))
    for gradient in (True, False, True):
        used.grad = torch.ones(2, 2) if gradient else None
        adam.step()
    assert unused.eq(1).all()
    assert [adam.state[weight]["step"].item() for weight in (used, unused)] == [2, 0]


def test_gains_and_biases_do_not_decay():
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    matrices, rest = optimizer.make(model, fit_settings(weight_decay=0.5)).param_groups
    assert [tuple(w.shape) for w in matrices["params"]] == [(2, 2)]
    assert len(rest["params"]) == 3
    assert (matrices["weight_decay"], rest["weight_decay"]) == (0.5, 0.0)


class Loud(Deep):
    """Deep, with a loss so steep that squares of its gradients overflow."""

    def loss_sums(self, model, batch, step):
        return {name: 1e9 * value for name, value in super().loss_sums(model, batch, step).items()}


def test_parts_of_the_weights_are_clipped_as_the_whole(tmp_path):
    """On one worker, on two copies, in parts, and compressed; there is no clip_norm before it."""
    loud = {"clip_norm": None, "learning_rate": 1e-10, "learning_rate_end": 1e-10,
            "weight_decay": 0.0, "steps": 4, "save_every": 4}  # fmt: skip

    def job(name, **changes):
        cfg = settings(**loud | changes)
        return cfg, Loud(cfg, noise=0.0), tmp_path / name

    learn(1, job("one"))
    learn(2, job("copies"), job("parts", shard=True), job("thin", powersgd_rank=5))
    one = saved(tmp_path / "one")
    for name in ("copies", "parts", "thin"):
        found = saved(tmp_path / name)
        assert all(s["exp_avg_sq"].max() <= 5 for s in found["optimizer"].values())
        assert all(s["exp_avg_sq"].min() >= 0 for s in found["optimizer"].values())
        assert all(weight.isfinite().all() for weight in found["model"].values())
        if name != "thin":
            torch.testing.assert_close(found["model"], one["model"], rtol=1e-3, atol=1e-3)


def test_a_decay_that_never_forgets_is_refused_in_a_sentence():
    for name in ("beta1", "beta2"):
        with pytest.raises(ValueError, match=rf"(?s){name}.*less than 1"):
            fit_settings(**{name: 1.0})
