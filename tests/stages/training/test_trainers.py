"""What holds of the toy holds of the three models: spread, in parts, recomputed, all the same."""

import pytest
import torch

from infra.store import open_folder
from stages import weights
from stages.training.trainer import Trainer
from tests.stages import test_train_clip, test_train_dvae, test_train_prior
from tests.stages.training.toy import ALONE, silent
from tests.stages.training.workers import gradients_differ, learn, nearly_same, saved

KINDS = {"dvae": test_train_dvae, "prior": test_train_prior, "clip": test_train_clip}
RUNS = {"one": {}, "copies": {}, "parts": {"shard": True, "activation_checkpointing": True}}


def job(root, kind, run):
    """Settings, task and folder of one run; steps are small, so that rounding stays rounding.

    Of seven rows the first of two workers takes four.
    """
    data = root / kind
    data.mkdir(exist_ok=True)
    small = {"learning_rate": 1e-4, "learning_rate_end": 1e-4, "batch_size": 7}
    cfg = KINDS[kind].settings(**small, **RUNS[run])
    return cfg, KINDS[kind].task_of(data, cfg), root / f"{kind}, {run}"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("trainers")
    learn(1, *[job(root, kind, "one") for kind in KINDS])
    learn(2, *[job(root, kind, run) for kind in KINDS for run in ("copies", "parts")])
    return root


@pytest.mark.parametrize("run", ["copies", "parts"])
@pytest.mark.parametrize("kind", KINDS)
def test_two_workers_learn_what_one_learns(root, kind, run):
    two, one = saved(root / f"{kind}, {run}"), saved(root / f"{kind}, one")
    nearly_same(two, one)
    assert gradients_differ(two, one) <= 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_what_workers_with_parts_export_is_the_whole_model(root, kind):
    load = {"dvae": weights.load_dvae, "prior": weights.load_prior, "clip": weights.load_clip}[kind]
    exported = load(open_folder(root / f"{kind}, parts")).state_dict()
    average = saved(root / f"{kind}, parts")["average"]
    assert exported.keys() == average.keys()
    for name, value in exported.items():
        assert torch.equal(value, average[name].reshape(value.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_recomputed_blocks_learn_the_very_same_bits(tmp_path, kind):
    weights = []
    for name, changes in (("on", {"activation_checkpointing": True}), ("off", {})):
        cfg = KINDS[kind].settings(**changes, steps=3, save_every=3)
        task, out = KINDS[kind].task_of(tmp_path, cfg), open_folder(tmp_path / name)
        assert task.layers(task.build())
        Trainer(task, cfg, out, ALONE, silent).fit()
        weights.append(saved(tmp_path / name))
    torch.testing.assert_close(*weights, rtol=0, atol=0)
