"""What is wrong with a shard is found, named, and mended by what is said; nothing is touched."""

import hashlib
import re

import pyarrow as pa
import pytest

from infra import store
from pipelines.inspect_tokens.token_shards import target
from schemas.artifacts import BPE, CLEAN_PAIRS, DVAE
from tests import tiny_run
from tests.pipelines.inspect_tokens import damage
from tests.pipelines.inspect_tokens.damage import printed, rewrite, with_column
from tests.pipelines.inspect_tokens.encoded import encode_again

SHARD = "train/shard-00000-00001.parquet"


@pytest.fixture
def tokens(run):
    """The folder of shards that encode made, a train file of clean pairs cut into three."""
    return encode_again(run)


def verified(capsys, address, *more):
    code, out = printed(capsys, address, "--verify", "--rows", 0, *more)
    return code, " ".join(out.split())


def recorded_anew(folder):
    """Let the manifest agree with the bytes that are there."""
    manifest = store.read_manifest(folder)
    files = store.digest_all(folder, {})
    store.publish(folder, manifest.model_copy(update={"files": files}))


def contents(folder):
    return {name: hashlib.sha256(folder.open(name).read()).hexdigest() for name in folder.list()}


def test_shards_as_encode_left_them_are_fine(run, tokens, capsys):
    before = contents(run.top)
    code, out = verified(capsys, run.root)
    assert code == 0
    assert "all pages and ids of 4 of 4 shards are valid" in out
    assert "4 of 4 files match the manifest (sha256)" in out
    assert "keys 0 occur more than once" in out
    rows = re.search(r"encoded again (\d+) rows of 4 shards: 0 of (\d+) codes differ", out)
    assert int(rows[1]) == 8 + 8 + 4 + 8  # a tile of each, of the last of train all it has
    assert int(rows[2]) == 4 * int(rows[1])
    assert "broken" not in out.partition("verify")[2]
    assert contents(run.top) == before


@pytest.mark.parametrize(("broken", "said"), damage.ALL)
def test_a_damaged_shard_is_named_with_what_to_do(run, tokens, capsys, broken, said):
    before = contents(run.top)
    broken(tokens.path / SHARD)
    damaged = contents(run.top)
    code, out = verified(capsys, run.root)
    assert code == 1
    assert re.search(rf"broken {SHARD}: .*{re.escape(said)}", out)
    assert re.search(r"the manifest has [\d,]+ 1 of 4 shards|the manifest has \w+\.\.\.", out)
    assert "delete manifest.json, stats/train/shard-00000-00001.json in" in out
    assert "broken val" not in out
    assert contents(run.top) == damaged
    assert {name for name in before if before[name] != damaged[name]} == {
        f"{tokens.path.relative_to(run.root)}/{SHARD}"
    }


def test_one_shard_is_checked_alone(run, tokens, capsys):
    damage.flipped_bit(tokens.path / SHARD)
    assert verified(capsys, tokens.path / SHARD)[0] == 1
    code, out = verified(capsys, tokens.path / "train/shard-00000-00000.parquet")
    assert code == 0
    assert "1 of 1 files match the manifest" in out


def test_missing_and_foreign_files_are_named(run, tokens, capsys):
    (tokens.path / SHARD).rename(tokens.path / "train/mine.parquet")
    code, out = verified(capsys, run.root)
    assert code == 1
    assert f"broken {SHARD}: it is in the manifest, but missing" in out
    assert "broken train/mine.parquet: it is not in the manifest" in out


def test_the_list_of_very_many_files_is_read_too(run, tokens, capsys, monkeypatch):
    monkeypatch.setattr(store, "MANY_FILES", 2)
    recorded_anew(tokens)
    assert store.read_manifest(tokens).files is None
    damage.flipped_bit(tokens.path / SHARD)
    code, out = verified(capsys, run.root)
    assert code == 1
    assert "3 of 4 files match the manifest" in out


def test_a_key_of_several_rows_is_named(run, tokens, capsys):
    other = "train/shard-00000-00000.parquet"
    (first, *_) = pa.parquet.read_table(tokens.path / other)["key"].to_pylist()

    def change(table):
        return with_column(table, "key", [first, *table["key"].to_pylist()[1:]])

    rewrite(tokens.path / SHARD, change)
    code, out = verified(capsys, run.root)
    assert code == 1
    assert f"broken {SHARD}: " in out
    assert f"repeats the keys {first} (also in {other})" in out


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("image", lambda row: [(code + 1) % 16 for code in row], "4 codes of"),
        ("text", lambda row: [(row[0] + 1) % 256, *row[1:]], "text of"),
        ("crop", lambda row: [row[0] + 1, *row[1:]], "crop of"),
        ("caption", str.upper, "caption of"),
        ("key", "x{}".format, "has no row for"),
    ],
)
def test_rows_that_encode_would_not_make_are_found(run, tokens, capsys, column, change, said):
    def other(table):
        return with_column(table, column, [change(row) for row in table[column].to_pylist()])

    rewrite(tokens.path / SHARD, other)
    recorded_anew(tokens)  # as a faulty encoder would have left it
    code, out = verified(capsys, run.root)
    assert code == 1
    assert re.search(rf"broken {SHARD}: \S*.*{said}", out)


def test_all_shards_of_another_dvae_are_found(run, tokens, capsys):
    for name in target(run.root).names:
        damage.other_dvae(tokens.path / name)
    recorded_anew(tokens)
    code, out = verified(capsys, run.root)
    assert code == 1
    assert "4 of 4 shards are broken" in out
    assert "dvae_sha256 is eee" in out


@pytest.mark.parametrize("gone", [BPE, CLEAN_PAIRS, DVAE])
def test_without_what_they_were_made_from_nothing_is_encoded_again(run, tokens, capsys, gone):
    tiny_run.folder(run, gone).clear()
    code, out = verified(capsys, run.root)
    assert code == 0
    assert f"encoded again nothing: their {gone.name} is gone" in out
    assert "4 of 4 files match the manifest" in out


def test_another_revision_of_encode_is_not_asked(run, tokens, capsys):
    manifest = store.read_manifest(tokens)
    store.publish(tokens, manifest.model_copy(update={"revision": 0}))
    code, out = verified(capsys, run.root)
    assert code == 0
    assert "nothing: revision 0 of encode made them, and this is" in out


def test_without_a_manifest_pages_are_checked_all_the_same(run, tokens, capsys):
    (tokens.path / "manifest.json").unlink()
    assert verified(capsys, tokens.path)[0] == 0
    damage.flipped_bit(tokens.path / SHARD)
    code, out = verified(capsys, tokens.path)
    assert code == 1
    assert f"broken {SHARD}: OSError" in out
    assert "not compared: there is no manifest" in out
