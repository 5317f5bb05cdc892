"""Two encodings are compared row by row, however their rows are cut into shards."""

import re

import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from pipelines.inspect_tokens.diff import compare
from pipelines.inspect_tokens.token_shards import target
from tests import token_shards
from tests.pipelines.inspect_tokens import damage
from tests.pipelines.inspect_tokens.damage import printed, rewrite, with_column
from tests.pipelines.inspect_tokens.encoded import encode_again

SHARD = "train/shard-00000-00001.parquet"


@pytest.fixture
def two(run):
    """The same corpus encoded twice, cut otherwise the second time."""
    one, other = encode_again(run), encode_again(run, "b" * 12, rows_per_shard=7)
    assert one.list("train/") != other.list("train/")
    return one, other


def difference(two):
    return compare(*(target(folder.url) for folder in two))


def change(folder, name, column, by):
    """Change a column of the second row, and of the fifth."""

    def changed(table):
        values = table[column].to_pylist()
        for row in (1, 4):
            values[row] = by(values[row])
        return with_column(table, column, values)

    rewrite(folder.path / name, changed)
    return [pq.read_table(folder.path / name)["key"][row].as_py() for row in (1, 4)]


def test_equal_encodings_have_no_difference(two, capsys):
    found = difference(two)
    assert found.equal
    assert (found.rows, found.codes, found.other_codes) == (32, 32 * 4, 0)
    code, out = printed(capsys, two[0].url, "--diff", two[1].url)
    assert code == 0
    assert "the encodings are equal" in out


@pytest.mark.parametrize(
    ("column", "by", "said"),
    [
        ("image", lambda row: [(row[0] + 1) % 16, *row[1:3], (row[3] + 1) % 16], "2 of 4 codes"),
        ("text", lambda row: [(row[0] + 1) % 256, *row[1:]], "text"),
        ("crop", lambda row: [row[0] + 1, *row[1:]], "crop"),
        ("caption", str.upper, "caption"),
    ],
)
def test_what_differs_is_counted_and_shown(two, capsys, column, by, said):
    keys = change(two[0], SHARD, column, by)
    found = difference(two)
    assert found.columns == dict.fromkeys(found.columns, 0) | {column: 2}
    assert [(key, differs) for key, _, differs in found.examples] == [(key, said) for key in keys]
    assert found.other_codes == (4 if column == "image" else 0)
    code, out = printed(capsys, two[0].url, "--diff", two[1].url)
    assert code == 1
    assert f"{keys[1]}: {said}" in out
    assert re.search(rf"{column} differs +2  \(6.25%\)", out)
    assert max(map(len, out.splitlines())) <= 80


def test_keys_of_one_alone_and_keys_that_lie_elsewhere(two):
    one, other = two
    change(one, SHARD, "key", "new-{}".format)
    rewrite(other.path / "val/shard-00000-00000.parquet", lambda table: table.slice(1))
    found = difference(two)
    assert (found.only_one, found.only_other, found.rows) == (3, 2, 29)

    damage.said_otherwise(source_shard="train/elsewhere.parquet")(one.path / SHARD)
    found = difference(two)
    assert (found.only_one, found.only_other, found.elsewhere, found.rows) == (3, 2, 8, 21)
    assert not found.equal


def test_metadata_that_differ_are_listed(two, capsys):
    for name in two[1].list("train/") + two[1].list("val/"):
        damage.other_dvae(two[1].path / name)
    found = difference(two)
    assert found.metadata.keys() == {"dvae_sha256"}
    assert found.equal  # the rows are, and that is what the exit code is of
    code, out = printed(capsys, two[0].url, "--diff", two[1].url)
    assert code == 0
    assert re.search(r"dvae_sha256 +\w{12}\.\.\. \| eeeeeeeeeeee\.\.\.", out)


def test_grids_of_other_sizes_have_no_code_in_common(tmp_path):
    spec = token_shards.SMALL
    for name, grid in (("one", 2), ("other", 3)):
        other = spec.model_copy(update={"grid": grid})
        token_shards.write(open_folder(tmp_path / name), 2, 30, other)
    found = compare(*(target(str(tmp_path / name)) for name in ("one", "other")))
    assert (found.rows, found.columns["image"], found.codes) == (60, 60, 0)
    assert found.metadata["grid"] == ("2", "3")


def test_many_rows_in_another_order(tmp_path):
    """Row groups of one are met by rows of any group of the other."""
    for name in ("one", "other"):
        token_shards.write(open_folder(tmp_path / name), 1, 5000)
    (path,) = (tmp_path / "other").rglob("*.parquet")
    rewrite(path, lambda table: table.sort_by([("caption", "descending")]))
    found = compare(*(target(str(tmp_path / name)) for name in ("one", "other")))
    assert found.equal
    assert found.rows == 5000


def test_a_broken_shard_is_named(two, capsys):
    damage.flipped_bit(two[1].path / "val/shard-00000-00000.parquet")
    code, out = printed(capsys, two[0].url, "--diff", two[1].url)
    assert code == 2  # found while rows were compared, so there is no result
    damage.cut_short(two[1].path / "val/shard-00000-00000.parquet")
    code, out = printed(capsys, two[0].url, "--diff", two[1].url)
    assert code == 1
    assert re.search(r"broken .*/val/shard-00000-00000.parquet", out)
