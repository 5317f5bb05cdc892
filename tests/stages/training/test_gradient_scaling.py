"""Scales of residual branches in float16, against float32 and against one scale for all."""

import math
import shutil
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from schemas.settings import ClipSettings, DvaeSettings, PriorSettings
from stages.models.prior import Prior, prior_terms
from stages.train_prior.task import PriorTask
from stages.training.gradient_scaling import START, GradientScales
from tests.stages import test_train_prior
from tests.stages.models.losses import prior_loss
from tests.stages.training.pairs import TOKENS
from tests.stages.training.toy import ALONE, Deep, settings
from tests.stages.training.workers import each, gradients_differ, learn, saved

# What tells the branches of `model_of` apart: the residual stream is LOUD, so all gradients are
# small; inside the first branch they are TINY, and inside the last HUGE.
LOUD, TINY, HUGE = 2.0**8, 2.0**-20, 2.0**9
FITTING = (2.0**24, 2.0**12, 2.0**12, 2.0**12)


def model_of():
    torch.manual_seed(0)
    model = Prior(TOKENS, test_train_prior.settings())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(std=0.3)
            if name.startswith(("text_", "image_", "start")) and "head" not in name:
                weight.mul_(LOUD)
        model.blocks[0].attention.out.weight.sign_().mul_(TINY)
        model.blocks[1].mlp.out.weight.sign_().mul_(HUGE)
    return model


def backward(model, kind):
    torch.manual_seed(1)
    text = torch.randint(TOKENS.text_vocab, (4, TOKENS.text_len))
    image = torch.randint(TOKENS.image_vocab, (4, TOKENS.image_len))
    with torch.autocast("cpu", kind, enabled=kind != torch.float32):
        loss = prior_loss(prior_terms(model, text, image))
    loss.backward()


def in_float16(values):
    """The scales after one update that began with `values`, and the model with its gradients."""
    model = model_of()
    scales = GradientScales(model.blocks, ALONE)
    scales.scales.copy_(torch.tensor(values))
    backward(model, torch.float16)
    scales.unscale(step=0)
    return scales, model


def errors(found, wanted):
    """How far the worst gradient of each branch is from the truth, of its size."""
    worst = dict.fromkeys(NAMES, 0.0)
    for (name, f), w in zip(found.named_parameters(), wanted.parameters(), strict=True):
        if branch := next((b for b in NAMES if name.startswith(b)), None):
            error = ((f.grad - w.grad).norm() / w.grad.norm()).item()
            worst[branch] = math.inf if math.isnan(error) else max(worst[branch], error)
    return list(worst.values())


NAMES = [f"blocks.{n}.{branch}." for n in (0, 1) for branch in ("attention", "mlp")]


@pytest.fixture(scope="module")
def truth():
    model = model_of()
    backward(model, torch.float32)
    return model


def test_gradients_are_those_of_float32_where_each_branch_has_its_scale(truth):
    _, model = in_float16(FITTING)
    assert max(errors(model, truth)) < 2e-3
    for name in ("text_head", "image_head", "text_token", "image_row", "norm"):
        found, wanted = (m.get_submodule(name).weight.grad for m in (model, truth))
        torch.testing.assert_close(found, wanted, rtol=2e-2, atol=2e-3 * wanted.abs().max().item())


def test_without_scales_small_gradients_are_lost(truth):
    model = model_of()
    backward(model, torch.float16)
    assert errors(model, truth)[0] == 1  # all of them


@pytest.mark.parametrize("power", range(7, 25))
def test_no_single_scale_would_do(truth, power):
    _, model = in_float16([2.0**power] * 4)
    assert max(errors(model, truth)) > 2e-3


def test_what_overflows_lowers_its_own_scale_and_spoils_nothing_below_it():
    scales, model = in_float16((2.0**23, 2.0**12, 2.0**12, 2.0**24))
    assert scales.scales.log2().tolist() == pytest.approx([23.001, 12.001, 12.001, 23.5])
    spoilt = {n for n, w in model.named_parameters() if not w.grad.isfinite().all()}
    assert spoilt
    assert all(name.startswith("blocks.1.mlp.") for name in spoilt)


def planted(scales, step, overflowing):
    """One `undo`, with weights' gradients of these branches not finite."""
    for number, branch in enumerate(scales.branches):
        for weight in branch.parameters():
            weight.grad = torch.full_like(weight, math.inf if number in overflowing else 1.0)
    scales.unscale(step)
    return scales.scales.tolist()


def test_a_scale_is_lowered_once_in_125_updates_and_raised_after_each_good_one():
    scales = GradientScales(model_of().blocks, ALONE)
    expected, rest = [START] * 4, {}
    for step in range(300):
        overflowing = {1} if step < 200 else {1, 3} if step == 250 else set()
        found = planted(scales, step, overflowing)
        for number in range(4):
            if number not in overflowing:
                expected[number] *= 2 ** (1 / 1000)
            elif step - rest.get(number, -125) >= 125:
                expected[number] /= math.sqrt(2)
                rest[number] = step
        assert found == pytest.approx(expected, rel=1e-4)
    assert rest == {1: 250, 3: 250}


def test_a_scale_stays_between_its_bounds():
    scales = GradientScales(model_of().blocks, ALONE)
    scales.scales.copy_(torch.tensor([2.0**7, 2.0**7, 2.0**24, 2.0**24]))
    found = planted(scales, 0, {0, 2})
    assert found == pytest.approx([2.0**7, 2**7.001, 2**23.5, 2.0**24])


@dataclass(frozen=True)
class Spoilt(PriorTask):
    """At some steps the pictures of some workers have a loss that float16 cannot hold."""

    steps: frozenset[int] = frozenset()
    stop_at: int | None = None

    def flops_per_row(self):
        return None

    def batches(self, step, context):
        for k, batch in enumerate(super().batches(step, context), start=step):
            if k == self.stop_at:
                raise KeyboardInterrupt
            yield batch | {"spoilt": torch.full((len(batch["text"]),), k in self.steps)}

    def loss_sums(self, model, batch, step):
        factor = 1e12 if batch["spoilt"].any() else 1.0
        return {
            name: factor * total for name, total in super().loss_sums(model, batch, step).items()
        }


class Twin(nn.Module):
    """A block of two branches, without the checks of shapes that tests put into our models."""

    def __init__(self):
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 7))
        self.mlp = nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 7))

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.mlp(x)


class Embedding(nn.Linear):
    """Begins a residual stream in float32."""

    def forward(self, x):
        return super().forward(x).float()


class Twins(Deep):
    def build(self):
        return nn.Sequential(Embedding(3, 7), Twin(), Twin(), Twin(), nn.Linear(7, 1))

    def layers(self, model):
        return [module for module in model if isinstance(module, Twin)]


def job(root, name, spoilt=(), stop_at=None, **changes):
    common = {"precision": "float16", "learning_rate": 1e-4, "learning_rate_end": 1e-4,
              "batch_size": 7}  # fmt: skip
    cfg = test_train_prior.settings(**(common | changes))
    (root / "prior").mkdir(exist_ok=True)
    task = test_train_prior.task_of(root / "prior", cfg)
    task = Spoilt(**vars(task), steps=frozenset(spoilt), stop_at=stop_at)
    return cfg, task, root / name


def scales_of(context, root):
    """Keep the scales that a worker ends with, for they must be the same."""
    task = job(root, "")[1]
    model = task.build()
    scales = GradientScales(task.layers(model), context)
    found = planted(scales, 0, {context.rank})
    torch.save(found, root / f"scales-{context.rank}.pt")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    learn(
        1,
        job(root, "one"),
        job(root, "float32", precision="float32"),
        job(root, "spoilt", spoilt=[2]),
        job(root, "stopped", spoilt=[2], stop_at=5),
        job(root, "stopped", spoilt=[2]),
        job(root, "recomputed", activation_checkpointing=True),
        job(root, "row by row", micro_batch_size=1),
    )
    each(2, scales_of, root)
    learn(
        2,
        job(root, "copies"),
        job(root, "spoilt copies", spoilt=[2]),
        job(root, "parts", shard=True),
        job(root, "compressed", powersgd_rank=4),
        job(root, "compressed, spoilt", powersgd_rank=4, spoilt=[2]),
    )
    return root


def test_float16_learns_what_float32_learns(root):
    assert gradients_differ(saved(root / "one"), saved(root / "float32")) < 1e-2
    assert saved(root / "one")["skipped"] == 0
    assert saved(root / "one")["scales"]["scales"].tolist() == pytest.approx([2**13.008] * 4)


def test_an_update_that_overflows_is_skipped_and_counted(root):
    found = saved(root / "spoilt")
    assert (found["skipped"], found["step"]) == (1, 8)
    assert found["scales"]["scales"].tolist() == pytest.approx([2 ** (13 - 0.5 + 0.007)] * 4)
    assert found["scales"]["lowered"].tolist() == [2] * 4


@pytest.mark.parametrize(("run", "as_"), [("stopped", "spoilt"), ("recomputed", "one")])
def test_stopped_runs_and_recomputed_blocks_learn_the_very_same_bits(root, run, as_):
    torch.testing.assert_close(saved(root / run), saved(root / as_), rtol=0, atol=0)


@pytest.mark.parametrize("run", ["row by row", "copies", "parts"])
def test_it_is_the_same_however_it_is_spread(root, run):
    assert gradients_differ(saved(root / run), saved(root / "one")) < 1e-2


def test_workers_agree_on_every_scale(root):
    one, other = (torch.load(root / f"scales-{rank}.pt") for rank in (0, 1))
    assert one == other == pytest.approx([2**12.5, 2**12.5, 2**13.001, 2**13.001])


def test_workers_skip_together(root):
    for run in ("spoilt copies", "compressed, spoilt"):
        assert saved(root / run)["skipped"] == 1
    assert saved(root / "compressed")["skipped"] == 0


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU takes a C++ compiler")
def test_branches_are_compiled_once_for_all_blocks(tmp_path):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    half = {"precision": "float16", "steps": 3, "save_every": 3}
    for name, changes in (("on", {"compile": True}), ("off", {})):
        cfg = settings(**half, **changes)
        learn(1, (cfg, Twins(cfg, noise=0.0), tmp_path / name))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert gradients_differ(saved(tmp_path / "on"), saved(tmp_path / "off")) < 1e-2
    assert saved(tmp_path / "on")["scales"]["scales"].tolist() == pytest.approx([2**13.003] * 6)


def test_models_without_scales_are_refused_in_float16():
    half = settings(precision="float16").fit.model_dump()
    assert PriorSettings(fit=half).fit.precision == "float16"
    for kind in (DvaeSettings, ClipSettings):
        with pytest.raises(ValueError, match="set precision to bfloat16, or to float32"):
            kind(fit=half)


def test_a_run_whose_scales_must_fall_is_given_time(tmp_path):
    """Any other would end after 50 skipped updates; a scale is lowered once in 125."""
    changes = {"steps": 120, "save_every": 120, "validate_every": 120}
    learn(1, job(tmp_path, "long", spoilt=range(2, 57), **changes))
    found = saved(tmp_path / "long")
    assert (found["step"], found["skipped"], found["skipped_in_a_row"]) == (120, 55, 0)
