"""kill -9 in the middle of a data stage, then the same again: the same rows, little done twice."""

import pytest

from infra.store import open_folder
from schemas.settings import FilterSettings, MeasureSettings
from stages import crawl, measure
from stages import filter as filter_stage
from tests.stages import worlds
from tests.stages.finished import NOTHING, table_of
from tests.stages.killing import kill_the_driver

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def check(stage, inputs, cfg, tmp_path, parts, *, unlike=()):
    """Compare a run that was killed and run again with an undisturbed one."""
    whole, out = open_folder(tmp_path / "whole"), tmp_path / "killed"
    expected = stage.run(inputs, whole, cfg)
    before = kill_the_driver(stage, inputs, out, cfg)
    assert 2 <= len(before) < len(whole.list("stats/"))
    result = stage.run(inputs, open_folder(out), cfg)
    assert (result.rows_in, result.rows_out) == (expected.rows_in, expected.rows_out)
    assert result.rejects == expected.rejects
    assert open_folder(out).list() == whole.list()
    for part in parts:
        mine, theirs = table_of(open_folder(out), part), table_of(whole, part)
        assert mine.drop_columns(list(unlike)).equals(theirs.drop_columns(list(unlike)))
    for name, at in before.items():  # what was done was not done again
        assert (out / name).stat().st_mtime_ns == at


def test_crawl_goes_on_where_it_was_killed(ray_cluster, tmp_path):
    with worlds.served(tmp_path / "world", pictures=80, bad_share=0.3) as world:
        cfg = world.job(rows_per_shard=4, run={"threads": 4})
        check(crawl, NOTHING, cfg, tmp_path, ["shard-"], unlike=["detail"])


@pytest.mark.soak
def test_filter_goes_on_where_it_was_killed(ray_cluster, tmp_path):
    from tests.stages.test_filter import pair, pairs_folder

    inputs = pairs_folder(tmp_path / "pairs", [pair(n, picture=n // 2) for n in range(1_000)])
    cfg = FilterSettings(side=64, buckets=4, validation_share=0.2)
    check(filter_stage, inputs, cfg, tmp_path, ["train/", "val/", "dropped/"])


@pytest.mark.soak
def test_measure_goes_on_where_it_was_killed(ray_cluster, tmp_path):
    from tests.stages.test_filter import pair, pairs_folder

    inputs = pairs_folder(tmp_path / "pairs", [pair(n, picture=n // 2) for n in range(1_000)])
    check(measure, inputs, MeasureSettings(), tmp_path, ["shard-"])
