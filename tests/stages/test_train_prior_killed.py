"""kill -9 of the prior's driver, a worker, a Ray node: the loss curve and the weights are the same.

To the bit where as many workers go on, and else as far as sums in another order are.
"""

import json

import numpy as np
import pytest
import torch

from infra.store import open_folder
from schemas.artifacts import METRICS
from stages import train_prior, weights
from tests.stages.killing import (
    InTheMiddle,
    Moment,
    Nodes,
    kill_the_driver,
    one_worker,
    run_and_lose_a_node,
    step_saved,
)
from tests.stages.test_train_prior import settings, task_of
from tests.stages.training.pairs import inputs
from tests.stages.training.workers import learn

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STEPS, SAVE_EVERY = 120, 10
SCHEDULE = {
    "steps": STEPS, "save_every": SAVE_EVERY, "validate_every": 40, "log_every": SAVE_EVERY,
}  # fmt: skip
CFG = settings(**SCHEDULE, workers=2, restarts=9)
LEARNED = (
    "step", "loss", "text", "image", "learning_rate", "gradient_norm", "skipped_updates",
    "rows_left_out", "validation_text", "validation_image", "validation_loss",
)  # fmt: skip
EARLY = Moment(done=2 * SAVE_EVERY, seconds=0.05, count=step_saved)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The pairs, and an undisturbed run on two workers."""
    root = tmp_path_factory.mktemp("prior")
    learn(2, (CFG, task_of(root, CFG), root / "whole"))
    return root


def curve(out):
    """Return all that is measured along a run but how fast it was."""
    with out.open(METRICS) as file:
        lines = [json.loads(line) for line in file]
    return [{name: line[name] for name in LEARNED if name in line} for line in lines]


def killed_driver(root, out, moment):
    kill_the_driver(train_prior, inputs(root), out.path, CFG, moment)
    assert not out.exists("trained.json"), "it was too quick to be killed"
    train_prior.run(inputs(root), out, CFG)
    return ["driver"]


def killed_worker(root, out, moment):
    with InTheMiddle(out, lambda: one_worker("ray::RayTrainWorker"), moment) as kill:
        train_prior.run(inputs(root), out, CFG)
    return kill.dead


def killed_node(root, out, moment):
    """Both workers are on the second node, which is replaced."""
    nodes = Nodes(head=0, second=1, third=1)
    return run_and_lose_a_node(train_prior, inputs(root), out.path, CFG, moment, nodes)[1]


@pytest.mark.parametrize("lose", [killed_driver, killed_worker, killed_node])
def test_the_losses_and_the_weights_are_the_same_to_the_bit(root, tmp_path, ray_cluster, lose):
    out, whole = open_folder(tmp_path / "out"), open_folder(root / "whole")
    dead = lose(root, out, EARLY)
    assert any("RayTrainWorker" in title or title == "driver" for title in dead)
    assert curve(out) == curve(whole)
    assert out.open("model.safetensors").read() == whole.open("model.safetensors").read()
    assert out.list("checkpoints/") == []


@pytest.mark.soak
def test_fewer_workers_go_on_where_a_node_is_lost(root, tmp_path):
    """A node has room for two of three; small steps, so that rounding stays rounding."""
    cfg = settings(
        **SCHEDULE, learning_rate=1e-4, learning_rate_end=5e-5, workers=3, workers_min=1, restarts=9
    )
    out, whole = open_folder(tmp_path / "out"), open_folder(tmp_path / "whole")
    learn(1, (cfg, task_of(root, cfg), whole.path))
    dead = run_and_lose_a_node(train_prior, inputs(root), out.path, cfg, EARLY)[1]
    assert any("RayTrainWorker" in title for title in dead)
    wanted = weights.load_prior(whole).state_dict()
    for name, found in weights.load_prior(out).state_dict().items():
        if not name.endswith("qkv.bias"):  # of keys without effect: its gradient is rounding alone
            torch.testing.assert_close(found, wanted[name], rtol=1e-3, atol=1e-4)
    for mine, theirs in zip(curve(out), curve(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)


@pytest.mark.soak
def test_twenty_kills_at_random_steps(root, tmp_path, ray_cluster):
    draw = np.random.default_rng(0)
    whole, struck = open_folder(root / "whole"), 0
    for number in range(20):
        lose = (killed_driver, killed_worker, killed_node)[number % 3]
        done = SAVE_EVERY * int(draw.integers(0, STEPS // SAVE_EVERY - 1))
        moment = Moment(done, float(draw.uniform(0, 0.3)), step_saved)
        out = open_folder(tmp_path / str(number))
        struck += bool(lose(root, out, moment))
        assert curve(out) == curve(whole), (lose, moment)
        assert out.open("model.safetensors").read() == whole.open("model.safetensors").read()
    assert struck >= 10  # the others came when all was done
