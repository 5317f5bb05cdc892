import itertools

import numpy as np
import pyarrow as pa
import pytest

from schemas.errors import ArtifactMissing, SchemaMismatch
from stages.data.loader import read_batches
from stages.data.table import first, open_table, require_rows

COLUMNS = ("key", "pair")


def batches(table, columns, **options):
    return (batch.columns() for batch in read_batches(table, columns, **options))


def keys(table, steps, **options):
    options = {"batch_size": 7, "window_rows": 8} | options
    found = batches(table, COLUMNS, seed=1, **options)
    return [batch["key"].tolist() for batch in itertools.islice(found, steps)]


@pytest.fixture
def table(folder, numbered):
    return open_table(folder, "train/", numbered)


@pytest.mark.parametrize("batch_size", [6, 7, 32])
def test_a_run_of_two_workers_goes_on_with_three_and_then_with_one(table, batch_size):
    whole = keys(table, 12, batch_size=batch_size)
    for world, steps in ((2, range(0, 4)), (3, range(4, 9)), (1, range(9, 12))):
        how = {"batch_size": batch_size, "step": steps.start, "world_size": world}
        shares = [keys(table, len(steps), rank=rank, **how) for rank in range(world)]
        for place, step in enumerate(steps):
            together = itertools.chain.from_iterable(share[place] for share in shares)
            assert sorted(together) == sorted(whole[step])


def test_a_resumed_reader_goes_on_with_the_same_batches(table):
    whole = keys(table, 12)
    for step in (1, 4, 5, 9):
        assert keys(table, 3, step=step) == whole[step : step + 3]


def test_every_row_is_read_once_an_epoch(table):
    stream = list(itertools.chain(*keys(table, 13)))
    assert sorted(stream[:30], key=int) == [str(n) for n in range(30)]
    assert sorted(stream[30:60], key=int) == [str(n) for n in range(30)]


def test_columns_of_a_row_stay_together_and_say_their_epoch(table):
    found = batches(table, COLUMNS, seed=1, batch_size=7, window_rows=8)
    for step, batch in enumerate(itertools.islice(found, 9)):
        number = np.array([int(key) for key in batch["key"]])
        assert (batch["pair"] == np.stack([number, 2 * number], 1)).all()
        assert batch["epoch"].tolist() == [(7 * step + i) // 30 for i in range(7)]


def test_a_batch_may_be_larger_than_the_table(table):
    (batch,) = itertools.islice(batches(table, COLUMNS, seed=1, batch_size=65), 1)
    assert np.bincount(batch["key"].astype(int)).max() == 3
    assert np.bincount(batch["key"].astype(int)).min() == 2


def test_first_rows_are_those_of_the_first_files(table):
    assert first(table, ("key",), 12)["key"].tolist() == [str(n) for n in range(12)]
    assert len(first(table, ("key",), 99)["key"]) == 30


def test_a_file_with_other_columns_is_refused(folder, numbered, write):
    write(folder, "train/shard-00009.parquet", pa.table({"key": ["1"]}))
    with pytest.raises(SchemaMismatch, match=r"shard-00009.parquet: missing 'pair'"):
        open_table(folder, "train/", numbered)


def test_a_file_that_is_no_parquet_is_refused_by_name(folder, numbered):
    folder.commit("train/shard-00009.parquet", b"PAR1 but no more")
    with pytest.raises(SchemaMismatch, match=r"shard-00009.parquet cannot be read"):
        open_table(folder, "train/", numbered)


def test_a_file_made_from_another_input_is_refused(folder, numbered, write):
    schema = numbered.with_metadata({"dvae_sha256": "abc"})
    rows = pa.table({"key": ["1"], "pair": pa.array([[1, 2]], pa.list_(pa.uint16(), 2))})
    write(folder, "val/shard-00000.parquet", rows.cast(schema))
    assert open_table(folder, "val/", numbered, {"dvae_sha256": "abc"}).rows == 1
    with pytest.raises(SchemaMismatch, match="wanted dvae_sha256 xyz, found abc"):
        open_table(folder, "val/", numbered, {"dvae_sha256": "xyz"})


def test_a_file_that_says_nothing_of_its_inputs_is_refused(folder, numbered):
    with pytest.raises(SchemaMismatch, match="wanted dvae_sha256 xyz, found nothing"):
        open_table(folder, "train/", numbered, {"dvae_sha256": "xyz"})


def test_no_rows_at_all_is_a_sentence(folder, numbered):
    with pytest.raises(ArtifactMissing, match="wanted rows to learn from"):
        require_rows(open_table(folder, "val/", numbered), "val/")


def test_a_row_group_that_rots_after_the_start_is_named(folder, numbered):
    table = open_table(folder, "train/", numbered)
    with folder.open("train/shard-00001.parquet") as file:
        data = bytearray(file.read())
    data[4:60] = bytes(56)
    folder.commit("train/shard-00001.parquet", bytes(data))
    with pytest.raises(SchemaMismatch, match="shard-00001"):
        keys(table, 9)
