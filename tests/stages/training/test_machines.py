"""Two machines of two workers: parts inside a machine, copies between them."""

from dataclasses import replace

import pytest
import torch

from schemas.errors import ConfigError
from stages.training.distributed import local, parallelize, shard_group_size
from stages.training.powersgd import PowerSGD
from tests.stages.training.toy import Deep, Wide, settings
from tests.stages.training.workers import bytes_sent, each, learn, same, saved


def machines(**changes):
    return settings(shard=True, shard_size=2, **({"workers": 4} | changes))


def deep(**changes):
    return Deep(settings(), noise=0.0, **changes)


MACHINES = machines()
WIDE = Wide(settings(), noise=0.0)


def look(context, path):
    """Keep what one worker of four compresses, and what it does if another overflows."""
    cfg = machines(powersgd_rank=16)
    model = WIDE.build()
    parallelize(model, WIDE.layers(model), cfg, context)
    power = PowerSGD(model, WIDE.layers(model), cfg.fit, context)
    found = {
        name: [tuple(sketch.shape) for sketch in sketches]
        for name, sketches in power.sketches.items()
    }
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    if context.rank == 3:  # in its part of its copy alone
        local(model[1].out.weight.grad)[0, 0] = torch.inf
    power.exchange()
    gradients = [local(weight.grad) for weight in model.parameters()]
    seen = {
        "sketches": found,
        "bytes": bytes_sent(power),
        "skips": all(gradient.isnan().all() for gradient in gradients),
        "owes": any(local(error).any() for error in power.errors.values()),
    }
    torch.save(seen, path / f"look-{context.rank}.pt")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """All runs that need four processes, by the same four."""
    root = tmp_path_factory.mktemp("runs")
    learn(
        1,
        (settings(), deep(), root / "one"),
        (settings(), WIDE, root / "wide, one"),
        (settings(powersgd_rank=16), replace(WIDE, stop_at=6), root / "one, then machines"),
    )
    learn(2, (machines(powersgd_rank=4, workers=2), WIDE, root / "wide, low, a machine"))
    each(4, look, root)
    uneven = {"keep": (1, 2)}  # 2 rows on the first worker, 1 row on each of the others
    learn(
        4,
        (MACHINES, deep(), root / "machines"),
        (settings(), deep(**uneven), root / "uneven copies"),
        (MACHINES, deep(**uneven), root / "uneven machines"),
        (machines(powersgd_rank=16), WIDE, root / "wide, all"),
        (machines(powersgd_rank=4), WIDE, root / "wide, low"),
        (machines(powersgd_rank=4), replace(WIDE, stop_at=6), root / "wide, low, stopped"),
        (machines(powersgd_rank=4), WIDE, root / "wide, low, stopped"),
        (machines(powersgd_rank=16), WIDE, root / "one, then machines"),
        (machines(powersgd_rank=16), replace(WIDE, stop_at=6), root / "machines, then one"),
    )
    learn(1, (settings(powersgd_rank=16), WIDE, root / "machines, then one"))
    return root


ALIKE = [("machines", "one"), ("uneven machines", "uneven copies")]


@pytest.mark.parametrize(("run", "as_"), ALIKE)
def test_machines_that_share_a_copy_learn_what_one_worker_learns(root, run, as_):
    same(saved(root / run), saved(root / as_))


def test_machines_with_a_rank_as_high_as_the_gradients_learn_what_one_worker_learns(root):
    same(saved(root / "wide, all"), saved(root / "wide, one"), atol=2e-5)
    assert len(saved(root / "wide, all")["errors"]) == 4


def test_each_worker_compresses_its_part_with_its_part_of_the_rank(root):
    """Whole: 33 x 40 and 40 x 33, each cut across the longer side."""
    for rank in range(4):
        found = torch.load(root / f"look-{rank}.pt")
        shapes = {"inside": [(33, 8)], "out": [(33, 8)]}
        assert found["sketches"] == {
            f"{n}.{name}.weight": shape for n in (1, 2) for name, shape in shapes.items()
        }
        # Biases, the first layer and the last are sent whole; a machine's first has the odd rows.
        odd = rank % 2 == 0
        whole = 2 * ((17 if odd else 16) + 20) + (20 * 3 + 20) + (41 if odd else 0)
        assert found["bytes"] == 4 * (whole + 4 * 8 * (20 + 33))


def test_where_a_part_of_a_copy_is_not_finite_all_parts_of_all_copies_skip(root):
    for rank in range(4):
        found = torch.load(root / f"look-{rank}.pt")
        assert found["skips"]
        assert not found["owes"]


def test_two_machines_learn_with_a_low_rank_what_one_learns(root):
    same(saved(root / "wide, low"), saved(root / "wide, low, a machine"), atol=2e-5)
    with pytest.raises(AssertionError):
        same(saved(root / "wide, low"), saved(root / "wide, one"), atol=2e-5)


def test_a_stopped_run_of_machines_goes_on_to_the_same_bits(root):
    found, wanted = saved(root / "wide, low, stopped"), saved(root / "wide, low")
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@pytest.mark.parametrize("run", ["one, then machines", "machines, then one"])
def test_a_run_goes_on_where_weights_are_cut_in_other_ways(root, run):
    """Across columns in machines, not at all in one worker."""
    same(saved(root / run), saved(root / "wide, one"), atol=2e-5)


def test_a_copy_is_shared_by_a_machine_or_by_all_or_by_nobody():
    assert shard_group_size(MACHINES, 4) == 2
    assert shard_group_size(settings(shard=True), 4) == 4
    assert shard_group_size(settings(), 4) == 1
    with pytest.raises(ConfigError, match="wants a multiple of 2 workers, found 3"):
        shard_group_size(MACHINES, 3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"shard_size": 2, "workers": 4}, "set shard to true, or shard_size to null"),
        ({"shard_size": 2, "workers": 3, "shard": True}, "found 3 workers and 2"),
        ({"shard": True, "powersgd_rank": 8}, "share one have none; set run.shard_size, or"),
        ({"shard": True, "shard_size": 2, "workers": 2, "powersgd_rank": 7}, "found 7 and 2"),
        ({"shard": True, "shard_size": 2, "workers": 4, "workers_min": 2}, "wants whole copies"),
    ],
)
def test_settings_that_make_no_machines_are_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        settings(**changes)
