"""What only Ray can do: start again what died, and bring back what was said."""

import os

import pytest
from pydantic import ValidationError

from infra.store import open_folder
from schemas.errors import SchemaMismatch
from stages.training import on_ray
from stages.training.divergence import Diverged
from stages.training.trainer import Trainer
from tests.stages.training.toy import ALONE, Deep, Dies, Line, Refuses, settings, silent

pytestmark = pytest.mark.ray


def test_a_worker_that_dies_is_started_again_from_its_checkpoint(tmp_path, ray_cluster, caplog):
    out, marker = open_folder(tmp_path / "out"), str(tmp_path / "marker")
    cfg = settings(restarts=1)
    with caplog.at_level("INFO"):
        result = on_ray.train(Dies(cfg, marker=marker), cfg, out, rows=100)
    assert os.path.exists(marker)
    assert (result.rows_in, result.rows_out) == (100, 12 * 8)
    other = open_folder(tmp_path / "other")
    assert result.health == Trainer(Line(cfg), cfg, other, ALONE, silent).fit()
    assert any("step 12/12" in line for line in caplog.messages)
    assert "toy  step 5/12  far at step 5" in caplog.messages  # not passed over for a newer line


def test_a_run_that_diverges_is_not_tried_again_and_says_so(tmp_path, ray_cluster):
    cfg = settings(steps=200, restarts=3)
    with pytest.raises(Diverged, match="50 in a row up to update 50 of 200 of toy were skipped"):
        on_ray.train(
            Line(cfg, poisoned=frozenset(range(200))), cfg, open_folder(tmp_path / "out"), rows=100
        )


def test_what_a_worker_has_to_say_to_the_user_reaches_the_user(tmp_path, ray_cluster):
    cfg = settings(restarts=0)
    with pytest.raises(SchemaMismatch, match="wanted this, found that"):
        on_ray.train(Refuses(cfg), cfg, open_folder(tmp_path / "out"), rows=100)


def test_two_workers_that_hold_half_of_every_weight(tmp_path, ray_cluster):
    cfg = settings(workers=2, shard=True)
    task = Deep(cfg, noise=0.0)
    result = on_ray.train(task, cfg, open_folder(tmp_path / "parts"), rows=100)
    alone = Trainer(task, cfg, open_folder(tmp_path / "one"), ALONE, silent).fit()
    assert result.health["distance"] == pytest.approx(alone["distance"], rel=1e-3)


def test_no_more_workers_are_needed_than_wanted():
    with pytest.raises(ValidationError, match=r"workers_min \(3\) must not exceed workers \(2\)"):
        settings(workers=2, workers_min=3)


def test_workers_spin_briefly_and_have_the_priority_of_their_driver(ray_cluster):
    import ray

    @ray.remote
    def seen():
        return os.nice(0), os.environ["GOMP_SPINCOUNT"]

    assert ray.get(seen.remote()) == (os.nice(0), "10000")
