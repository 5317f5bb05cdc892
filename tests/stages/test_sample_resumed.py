"""Runs of the stage on Ray: again after a kill, and with other workers."""

import io

import pyarrow.parquet as pq
import pytest
from PIL import Image

from infra.store import open_folder
from stages import sample
from stages.sample.prompts import EMPTY, Prompt
from stages.sample.stage import DrawShard
from stages.shards import ShardStats, stats_file
from tests.stages.finished import contents, table_of
from tests.stages.test_sample import TABLE, settings
from tests.stages.test_sample_prompts import file_of


def commit_shard(out, inputs, cfg, number, some):
    """Leave what a worker leaves that finished one shard."""
    made = DrawShard(inputs, cfg)((f"table/shard-{number:05d}.parquet", some))
    stats = ShardStats(
        name=f"shard-{number:05d}",
        rows_in=made.rows_in,
        rows_out=made.rows_out,
        rejects={},
        health=dict(made.health),
        files={name: out.commit(name, data) for name, data in made.files.items()},
    )
    out.commit(stats_file(stats.name), stats.model_dump_json().encode())


@pytest.mark.ray
def test_a_killed_run_goes_on_with_what_is_missing(inputs, tmp_path, ray_cluster):
    texts = ["a red star", "", "a blue ring", "a cat"]
    cfg = settings(prompts=file_of(tmp_path, "\n".join(texts)), rank_by="both")
    first, last = [Prompt(i, texts[i], "prompts") for i in (0, 2)], [Prompt(3, "a cat", "prompts")]
    out, undisturbed = open_folder(tmp_path / "samples"), open_folder(tmp_path / "undisturbed")
    commit_shard(out, inputs, cfg, 0, first)
    out.commit("pictures/00003-000-a-cat.png", b"of a shard that was not finished")
    kept = tmp_path / "samples/table/shard-00000.parquet"
    before = kept.stat().st_mtime_ns
    result = sample.run(inputs, out, cfg)
    assert (result.rows_in, result.rows_out, result.rejects) == (4, 12, {EMPTY: 1})
    assert kept.stat().st_mtime_ns == before
    commit_shard(undisturbed, inputs, cfg, 0, first)
    commit_shard(undisturbed, inputs, cfg, 1, last)
    assert contents(out) == contents(undisturbed)


@pytest.mark.ray
def test_pictures_do_not_depend_on_workers_or_shards(inputs, tmp_path, ray_cluster):
    cfg = settings(prompts=file_of(tmp_path, "a red star\na blue ring\na cat\n"))
    found = []
    for workers, size in ((1, 3), (2, 1)):
        out = open_folder(tmp_path / f"{workers}")
        run = cfg.run.model_copy(update={"workers": workers})
        sample.run(inputs, out, cfg.model_copy(update={"run": run, "prompts_per_shard": size}))
        found.append(table_of(out, "table/").to_pylist())
    assert found[0] == found[1]
    assert len(found[0]) == 12


@pytest.mark.ray
def test_a_run_goes_on_with_the_tile_it_began_with(inputs, tmp_path, ray_cluster):
    """Chosen by the memory of one machine, used also where another one has more."""
    cfg = settings(tile=None, prompts=file_of(tmp_path, "a red star"))
    chosen, begun = open_folder(tmp_path / "chosen"), open_folder(tmp_path / "begun")
    begun.commit("tile.json", b'{"tile": 3}')
    for out, tile in ((chosen, 64), (begun, 3)):
        result = sample.run(inputs, out, cfg)
        assert result.health["tile"] == tile
        assert "tile.json" in result.files
        with out.open(TABLE) as file:
            (png, *_) = pq.read_table(file)["png"].to_pylist()
        assert Image.open(io.BytesIO(png)).text["tile"] == str(tile)
