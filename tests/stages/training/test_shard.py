"""Two workers that hold half of every weight learn what two whole ones learn, and what one does."""

import pytest

from infra.store import open_folder
from tests.stages.training.toy import Deep, settings
from tests.stages.training.workers import learn, same, saved

COPIES, PARTS = settings(), settings(shard=True)


def deep(**changes):
    return Deep(COPIES, noise=0.0, **changes)


class Watched(Deep):
    """Fails unless what a forward pass left behind is in parts before the next one."""

    def loss_sums(self, model, batch, step):
        again = self.seen[-1] is getattr(self, "last", None)
        self.last = self.seen[-1]
        assert all((weight.grad is not None) == again for weight in model.parameters())
        return super().loss_sums(model, batch, step)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """All runs that need two processes, by the same two."""
    root = tmp_path_factory.mktemp("runs")
    learn(1, (COPIES, deep(), root / "one"), (COPIES, deep(stop_at=6), root / "one then two"))
    uneven = {"keep": (1, 3)}  # 4 rows here, 2 rows there
    learn(
        2,
        (COPIES, deep(), root / "copies"),
        (PARTS, deep(), root / "parts"),
        (
            settings(shard=True, micro_batch_size=1),
            Watched(COPIES, noise=0.0),
            root / "parts, row by row",
        ),
        (settings(shard=True, activation_checkpointing=True), deep(), root / "parts, recomputed"),
        (COPIES, deep(**uneven), root / "uneven copies"),
        (PARTS, deep(**uneven), root / "uneven parts"),
        (
            settings(shard=True, micro_batch_size=1),
            deep(**uneven),
            root / "uneven parts, row by row",
        ),
        (PARTS, deep(), root / "one then two"),
        (PARTS, deep(stop_at=6), root / "two then one"),
    )
    learn(1, (PARTS, deep(), root / "two then one"))
    return root


@pytest.mark.parametrize("run", ["parts", "parts, row by row", "parts, recomputed"])
def test_halves_of_the_weights_learn_what_one_worker_learns(root, run):
    same(saved(root / run), saved(root / "copies"))
    same(saved(root / run), saved(root / "one"))


def test_rows_weigh_the_same_however_uneven_the_workers(root):
    same(saved(root / "uneven parts"), saved(root / "uneven copies"))
    same(saved(root / "uneven parts, row by row"), saved(root / "uneven copies"))
    with pytest.raises(AssertionError):
        same(saved(root / "uneven parts"), saved(root / "parts"))


@pytest.mark.parametrize("run", ["one then two", "two then one"])
def test_a_run_goes_on_with_another_number_of_workers(root, run):
    assert open_folder(root / run).exists("weights")
    same(saved(root / run), saved(root / "one"))


def test_the_average_of_all_parts_is_what_is_measured_and_exported(root):
    average = saved(root / "parts")["average"]
    with open_folder(root / "parts").open("weights") as file:
        exported = file.read()
    assert exported == repr([value.tolist() for value in average.values()]).encode()
