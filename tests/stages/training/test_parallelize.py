"""Recomputed and compiled blocks: the same numbers, otherwise come by."""

import shutil

import pytest
import torch

from stages.training.distributed import parallelize
from tests.stages.training.toy import ALONE, Deep, points, settings
from tests.stages.training.workers import learn, saved


def updates(path, **changes):
    cfg = settings(**changes)
    learn(1, (cfg, Deep(cfg), path))
    return saved(path)


def test_recomputed_blocks_are_computed_again_on_the_way_back_and_only_there():
    cfg = settings(activation_checkpointing=True)
    task = Deep(cfg)
    model = task.build()
    computed = []
    for number, block in enumerate(task.layers(model)):
        block.inside.register_forward_hook(lambda *_, number=number: computed.append(number))
    learner = parallelize(model, task.layers(model), cfg, ALONE)
    loss = learner(points([0])["x"]).sum()
    assert computed == [0, 1, 2]
    loss.backward()
    assert computed == [0, 1, 2, 2, 1, 0]
    with torch.no_grad():
        learner(points([0])["x"])
    assert computed == [0, 1, 2, 2, 1, 0, 0, 1, 2]


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU takes a C++ compiler")
@pytest.mark.parametrize("recompute", [False, True])
def test_compiled_blocks_learn_the_same(tmp_path, recompute):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    found = updates(tmp_path / "on", compile=True, activation_checkpointing=recompute)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1  # for all three blocks
    torch.testing.assert_close(found, updates(tmp_path / "off"), rtol=1e-4, atol=1e-5)
