"""The prior goes on with another number of workers, in parts or whole, and learns the same."""

import json

import pytest

from tests.stages import test_train_prior
from tests.stages.training.workers import learn, nearly_same, saved

# Saved by two, then done on one and on three, each in parts and whole. Six rows for any of them.
SAVED_AT, STEPS = 4, 8


def settings(**fit):
    common = {"steps": STEPS, "save_every": 2, "batch_size": 6, "learning_rate": 1e-4,
              "learning_rate_end": 5e-5}  # fmt: skip
    return test_train_prior.settings(**(common | fit))


class Stopped(test_train_prior.PriorTask):
    """Killed after the step SAVED_AT was saved, and another one made."""

    def batches(self, step, context):
        for number, batch in enumerate(super().batches(step, context), start=step):
            if number == SAVED_AT + 1:
                raise KeyboardInterrupt
            yield batch


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("resized")
    task = test_train_prior.task_of(root, settings())
    stopped = Stopped(**vars(task))
    learn(1, (settings(), task, root / "one"))
    learn(
        2,
        *[
            (settings(shard=shard), stopped, root / f"{shard}, {on}, {then}")
            for shard in (False, True)
            for on in (1, 3)
            for then in (False, True)
        ],
    )
    for on in (1, 3):
        learn(
            on,
            *[
                (settings(shard=then), task, root / f"{shard}, {on}, {then}")
                for shard in (False, True)
                for then in (False, True)
            ],
        )
    return root


@pytest.mark.parametrize("then", [False, True], ids=["whole", "in parts"])
@pytest.mark.parametrize("on", [1, 3])
@pytest.mark.parametrize("shard", [False, True], ids=["saved whole", "saved in parts"])
def test_what_two_workers_saved_goes_on_with_one_and_with_three(root, shard, on, then):
    run = root / f"{shard}, {on}, {then}"
    index = json.loads((run / "checkpoints/step-00000006/index.json").read_text())
    assert index["world"] == on
    found, wanted = saved(run), saved(root / "one")
    assert found["step"] == wanted["step"] == STEPS
    nearly_same(found, wanted)
