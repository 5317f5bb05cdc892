"""Two machines of two workers: parts inside a machine, copies between them."""

import pytest
import torch

from schemas.configs import FitSettings
from schemas.errors import ConfigError
from stages.training.spread import sharers
from stages.training.task import Place
from tests.stages.training.toy import Deep, settings
from tests.stages.training.workers import learn, saved

MACHINES = settings(shard=True, machine=2, workers=4)


def deep(**changes):
    return Deep(settings(), noise=0.0, **changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """All runs that need four processes, by the same four."""
    root = tmp_path_factory.mktemp("runs")
    learn(1, (settings(), deep(), root / "one"))
    uneven = {"keep": (1, 2)}  # 2 rows on the first worker, 1 row on each of the others
    learn(
        4,
        (MACHINES, deep(), root / "machines"),
        (settings(), deep(**uneven), root / "uneven copies"),
        (MACHINES, deep(**uneven), root / "uneven machines"),
    )
    return root


def same(found, wanted):
    for part in ("model", "average", "optimizer"):
        torch.testing.assert_close(found[part], wanted[part], rtol=1e-4, atol=1e-6)
    assert found["step"] == wanted["step"] == 12


def test_machines_that_share_a_copy_learn_what_one_worker_learns(root):
    same(saved(root / "machines"), saved(root / "one"))


def test_rows_weigh_the_same_however_uneven_the_machines(root):
    same(saved(root / "uneven machines"), saved(root / "uneven copies"))


def test_a_copy_is_shared_by_a_machine_or_by_all_or_by_nobody():
    assert sharers(MACHINES, Place(0, 4)) == 2
    assert sharers(settings(shard=True), Place(0, 4)) == 4
    assert sharers(settings(), Place(0, 4)) == 1
    with pytest.raises(ConfigError, match="wants a multiple of 2 workers, found 3"):
        sharers(MACHINES, Place(0, 3))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"machine": 2, "workers": 4}, "set shard to true, or machine to null"),
        ({"machine": 2, "workers": 3, "shard": True}, "found 3 workers in machines of 2"),
    ],
)
def test_settings_that_make_no_machines_are_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        FitSettings(steps=1, batch_size=1, lr=1, lr_end=1, ema_share=0.1, **changes)
