"""What holds of the toy holds of the three models: spread, in parts, recomputed, all the same."""

import pytest
import torch

from infra.store import open_folder
from schemas.rows import CLEAN_PAIR
from stages import weights
from stages.data.table import open_table
from stages.train_dvae import DvaeTask
from stages.training.trainer import Trainer
from tests.stages import test_train_clip, test_train_dvae, test_train_prior
from tests.stages.training.pairs import clean_pairs
from tests.stages.training.toy import ALONE, silent
from tests.stages.training.workers import learn, saved

KINDS = ("dvae", "prior", "clip")
RUNS = {"one": {}, "copies": {}, "parts": {"shard": True, "activation_checkpointing": True}}


def dvae_of(root, cfg):
    clean = clean_pairs(root)
    return DvaeTask(
        cfg, open_table(clean, "train/", CLEAN_PAIR), open_table(clean, "val/", CLEAN_PAIR)
    )


SETTINGS = {
    "dvae": (dvae_of, test_train_dvae.settings),
    "prior": (test_train_prior.task_of, test_train_prior.settings),
    "clip": (test_train_clip.task_of, test_train_clip.settings),
}


def job(root, kind, run):
    """Settings, task and folder of one run; steps are small, so that rounding stays rounding.

    Of seven rows the first of two workers takes four.
    """
    make, settings = SETTINGS[kind]
    data = root / kind
    data.mkdir(exist_ok=True)
    cfg = settings(learning_rate=1e-4, learning_rate_end=1e-4, batch_size=7, **RUNS[run])
    return cfg, make(data, cfg), root / f"{kind}, {run}"


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
    for name, wanted in one["model"].items():
        found = two["model"][name]
        if not name.endswith("k_proj.bias"):  # without effect: its gradient is rounding alone
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("run", ["copies", "parts"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_of_two_workers_are_those_of_one(root, kind, run):
    """Seen in the optimizer's first moment, their average."""
    two, one = (saved(root / f"{kind}, {n}")["optimizer"] for n in (run, "one"))
    largest = max(state["exp_avg"].norm() for state in one.values())
    for name, state in one.items():
        error = two[name]["exp_avg"] - state["exp_avg"]
        assert error.norm() <= 1e-3 * state["exp_avg"].norm() + 1e-5 * largest


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
        make, settings = SETTINGS[kind]
        cfg = settings(**changes, steps=3, save_every=3)
        task, out = make(tmp_path, cfg), open_folder(tmp_path / name)
        assert task.layers(task.build())
        Trainer(task, cfg, out, ALONE, silent).fit()
        weights.append(saved(tmp_path / name))
    torch.testing.assert_close(*weights, rtol=0, atol=0)
