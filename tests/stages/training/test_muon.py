import math

import pytest
import torch
from torch import nn

from infra.store import open_folder
from schemas.settings import DvaeSettings
from stages.training import optimizer
from stages.training.muon import polar_factor
from tests.stages.training.test_optimizer import fit_settings
from tests.stages.training.toy import Deep, settings
from tests.stages.training.workers import learn, same, saved

SHAPES = [(1, 1), (1, 9), (8, 8), (20, 64), (64, 64)]


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pulled_to_one(matrix):
    """Five steps of s -> a s + b s^3 + c s^5 on the singular values, by another way than ours."""
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    s = s / s.norm()
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u @ torch.diag(s) @ v


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_polar_factor_has_the_matrixs_directions_and_singular_values_near_one(shape, scale):
    matrix = scale * (random(*shape) + torch.eye(*shape))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    found = polar_factor(matrix, torch.float64)
    along = u.T @ found @ v.T
    torch.testing.assert_close(along, torch.diag(along.diag()), rtol=0, atol=1e-9)
    known = along.diag()[s > s.norm() / 100]
    assert known.min() > 0.65
    assert known.max() < 1.25
    torch.testing.assert_close(polar_factor(matrix, torch.bfloat16), found, rtol=0, atol=0.1)


def test_of_nothing_the_polar_factor_is_nothing():
    assert polar_factor(torch.zeros(3, 4)).eq(0).all()


class Layers(nn.Module):
    """A lying, a standing and a fused matrix in a layer; a matrix and a gain that are in none."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Module()
        for name, shape in (("lying", (4, 6)), ("standing", (10, 4)), ("qkv", (12, 4))):
            self.layer.register_parameter(name, nn.Parameter(random(*shape).float()))
        self.layer.gain = nn.Parameter(torch.ones(4))
        self.head = nn.Linear(4, 5, bias=False)


def muon(model, **changes):
    return optimizer.make(model, fit_settings(optimizer="muon", **changes), [model.layer])


def test_two_steps_are_the_formula_written_out():
    """Queries, keys and values move each along its own factor."""
    model = Layers()
    adam = muon(model, weight_decay=0.5)
    expected = {name: weight.detach().double() for name, weight in model.layer.named_parameters()}
    momentum = dict.fromkeys(expected, 0)
    for step in range(2):
        for number, (name, weight) in enumerate(model.layer.named_parameters()):
            gradient = random(*weight.shape, seed=10 * step + number)
            weight.grad = gradient.float()
            momentum[name] = 0.95 * momentum[name] + 0.05 * gradient
            ahead = 0.95 * momentum[name] + 0.05 * gradient
            if name != "gain":
                parts = ahead.split(4) if name == "qkv" else [ahead]
                along = [0.2 * math.sqrt(max(p.shape)) * pulled_to_one(p) for p in parts]
                expected[name] = 0.95 * expected[name] - 0.1 * torch.cat(along)  # lr 0.1
        adam.step()
    for name in ("lying", "standing", "qkv"):
        weight = model.layer.get_parameter(name)
        torch.testing.assert_close(weight.double(), expected[name], rtol=1e-4, atol=1e-5)
        assert adam.state[weight].keys() == {"exp_avg"}


def test_a_step_is_torchs_muon():
    ours, theirs = Layers(), Layers()
    del ours.layer.qkv, theirs.layer.qkv  # one matrix to torch
    shared = {"lr": 0.1, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    reference = torch.optim.Muon([theirs.layer.lying, theirs.layer.standing], **shared)
    adam = muon(ours, weight_decay=0.1, precision="bfloat16")
    for step in range(3):
        for model in (ours, theirs):
            for weight in (model.layer.lying, model.layer.standing):
                weight.grad = random(*weight.shape, seed=step).float()
        adam.step()
        reference.step()
    for name in ("lying", "standing"):
        one, other = ours.layer.get_parameter(name), theirs.layer.get_parameter(name)
        torch.testing.assert_close(one, other, rtol=0, atol=0.01)  # of 0.1: theirs is in 16 bits


@pytest.mark.parametrize("clip", [None, 5.0])
def test_what_is_no_matrix_of_a_layer_learns_by_adamw(clip):
    ours, theirs = Layers(), Layers()
    theirs.load_state_dict(ours.state_dict())
    changes = {"beta2": 0.96, "weight_decay": 0.3, "variance_clip": clip}
    one, other = muon(ours, **changes), optimizer.make(theirs, fit_settings(**changes))
    for step in range(3):
        for model in (ours, theirs):
            model.head.weight.grad = random(5, 4, seed=step).float()
            model.layer.gain.grad = random(4, seed=step).float()
        one.step()
        other.step()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-6, atol=1e-7)
    assert torch.equal(ours.layer.qkv, Layers().layer.qkv)  # without a gradient it stays


def deep(noise=0.0, **changes):
    return Deep(settings(**MUON), noise=noise, **changes)


MUON = {"optimizer": "muon"}


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path):
    cfg, folders = settings(**MUON), (tmp_path / "whole", tmp_path / "stopped")
    learn(1, (cfg, deep(0.1), folders[0]))
    learn(1, (cfg, deep(0.1, stop_at=7), folders[1]), (cfg, deep(0.1), folders[1]))
    whole, stopped = (saved(folder) for folder in folders)
    torch.testing.assert_close(stopped, whole, rtol=0, atol=0)
    assert whole["optimizer"]["1.out.weight"].keys() == {"exp_avg"}
    assert whole["optimizer"]["0.weight"].keys() == {"step", "exp_avg", "exp_avg_sq"}
    exported = [open_folder(folder).open("weights").read() for folder in folders]
    assert exported[0] == exported[1]


def test_copies_learn_what_one_learns_row_by_row_and_compressed_too(tmp_path):
    one, rows = settings(**MUON), settings(micro_batch_size=1, **MUON)
    thin = settings(powersgd_rank=5, **MUON)  # as high as any gradient's
    learn(1, (one, deep(), tmp_path / "one"))
    jobs = {"copies": one, "row by row": rows, "thin": thin}
    learn(2, *[(cfg, deep(), tmp_path / name) for name, cfg in jobs.items()])
    for name in jobs:
        same(saved(tmp_path / name), saved(tmp_path / "one"), rtol=1e-3, atol=1e-4)


def test_parts_of_matrices_and_convolutions_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"wants whole matrices .* set run.shard to false"):
        settings(shard=True, **MUON)
    with pytest.raises(ValueError, match="the dVAE's weights are convolutions; set it to adamw"):
        DvaeSettings(fit=DvaeSettings().fit.model_dump() | MUON)
