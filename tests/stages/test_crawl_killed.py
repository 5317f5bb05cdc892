"""kill -9 of a worker in the middle of a crawl, and a poisonous shard."""

import os
import sys

import pytest
import ray

from infra.store import open_folder
from stages import crawl
from tests.stages import worlds
from tests.stages.finished import NOTHING, table_of
from tests.stages.killing import InTheMiddle, one_worker

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with worlds.served(tmp_path_factory.mktemp("world"), pictures=80, bad_share=0.3) as found:
        yield found


@pytest.fixture(scope="module")
def whole(ray_cluster, world, tmp_path_factory):
    """Return the result and the folder of an undisturbed run."""
    out = open_folder(tmp_path_factory.mktemp("whole"))
    return crawl.run(NOTHING, out, job(world)), out


def job(world):
    return world.job(rows_per_shard=4, run={"threads": 4, "workers": 2})


def rows_of(out):
    return table_of(out, "shard-").drop_columns(["detail"])


def test_a_crawl_whose_worker_is_killed_ends_with_the_same_rows(world, whole, tmp_path):
    out = open_folder(tmp_path)
    with InTheMiddle(out, one_worker) as kill:
        result = crawl.run(NOTHING, out, job(world))
    assert len(kill.dead) == 1
    assert kill.done < 20
    expected, folder = whole
    assert rows_of(out).equals(rows_of(folder))
    assert out.list() == folder.list()
    assert (result.rows_in, result.rejects) == (expected.rows_in, expected.rejects)
    assert result.quarantined == ()


def deadly(**how):
    """Fetch, but die of one piece, as of a decoder's crash."""
    work = crawl._fetch(**how)
    return lambda piece: os._exit(9) if piece.index == 3 else work(piece)


def test_a_piece_that_kills_its_workers_becomes_rows_with_a_reason(
    world, whole, tmp_path, monkeypatch
):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(crawl, "_fetch", deadly)
    out = open_folder(tmp_path)
    result = crawl.run(NOTHING, out, job(world))
    assert result.quarantined == ("shard-00003",)
    assert result.rejects["quarantined"] == 4
    expected, mine = rows_of(whole[1]).to_pylist(), rows_of(out).to_pylist()
    for number, (row, undisturbed) in enumerate(zip(mine, expected, strict=True)):
        if number // 4 == 3:
            assert (row["reason"], row["status"], row["image"]) == ("quarantined", "failed", None)
            known = ("key", "url", "caption", "source")
            assert [row[name] for name in known] == [undisturbed[name] for name in known]
        else:
            assert row == undisturbed
