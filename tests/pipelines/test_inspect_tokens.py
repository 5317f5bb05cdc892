"""Token shards are described as they are, the broken ones by name."""

import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import Store
from pipelines import inspect_tokens
from pipelines.inspection.gallery import originals
from pipelines.inspection.shards import Tokens, read, some_rows, target
from pipelines.inspection.terminal import quantiles, spark
from schemas.artifacts import BPE, CLEAN_PAIRS, DVAE, TOKEN_PAIRS
from schemas.errors import ArtifactMissing
from tests import tiny_run


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    tiny_run.build(folder)
    return folder


@pytest.fixture
def run(built, tmp_path):
    """A run that a test may damage."""
    return Store(str(shutil.copytree(built, tmp_path / "run")))


def shard(run, split="train"):
    return tiny_run.folder(run, TOKEN_PAIRS).path / split / "shard-00000.parquet"


def printed(capsys, *arguments):
    code = inspect_tokens.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("what", ["root", "artifact", "shard"])
def test_a_root_an_artifact_and_a_shard_are_understood(run, capsys, what):
    address = {
        "root": run.root,
        "artifact": tiny_run.folder(run, TOKEN_PAIRS).url,
        "shard": shard(run),
    }[what]
    code, out = printed(capsys, address)
    assert code == 0
    rows = 24 if what == "shard" else 32
    assert re.search(rf"rows +{rows}\b", out)
    assert "fixed_size_list<element: uint16>[12]" in out
    assert re.search(r"dvae_fingerprint +647661650000", out)
    first = tiny_run.clean_rows("train")[0]
    assert first["caption"] in out
    assert first["key"] in out
    assert f"reads  {first['caption'][:10]}" in out  # ids through the alphabet
    assert max(map(len, out.splitlines()[1:])) <= 80


def test_counts_are_those_of_plain_pyarrow(run):
    tokens = read(target(run.root))
    tables = [pq.read_table(shard(run, split)) for split in ("train", "val")]
    codes = np.concatenate([np.array(table["image"].to_pylist()).ravel() for table in tables])
    assert tokens.codes.tolist() == np.bincount(codes, minlength=16).tolist()
    lengths = [length for table in tables for length in table["text_length"].to_pylist()]
    assert tokens.lengths.tolist() == np.bincount(lengths, minlength=13).tolist()
    assert tokens.bytes == sum(shard(run, split).stat().st_size for split in ("train", "val"))


def rewrite(path, change):
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-20])


def other_dvae(path):
    def change(table):
        return table.replace_schema_metadata(table.schema.metadata | {b"dvae_sha256": b"e" * 64})

    rewrite(path, change)


def no_metadata(path):
    rewrite(path, lambda table: table.replace_schema_metadata(None))


def code_too_large(path):
    def change(table):
        images = pa.array([[16] * 4] * len(table), pa.list_(pa.uint16(), 4))
        field = pa.field("image", images.type, nullable=False)
        return table.set_column(table.column_names.index("image"), field, images)

    rewrite(path, change)


def column_missing(path):
    rewrite(path, lambda table: table.drop_columns(["crop"]))


def flipped_bytes(path):
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_short, "ArrowInvalid"),
        (other_dvae, "dvae_sha256 is eee"),
        (no_metadata, "metadata lacks"),
        (code_too_large, "image code 16 is out of range"),
        (column_missing, "missing 'crop'"),
        (flipped_bytes, "broken"),
    ],
)
def test_a_broken_shard_is_named_and_the_others_are_read(run, capsys, damage, said):
    damage(shard(run, "val"))
    code, out = printed(capsys, run.root)
    assert code == 1
    flat = " ".join(out.split())
    assert "broken val/shard-00000.parquet" in flat
    assert said in flat
    assert re.search(r"rows +24\b", out)
    assert "1 of 2 shards are broken" in flat


def test_nothing_to_inspect_is_one_sentence(tmp_path, capsys):
    for address in (tmp_path, tmp_path / "no.parquet"):
        assert inspect_tokens.main([str(address)]) == 2
        assert capsys.readouterr().err.startswith("error: wanted a")
    with pytest.raises(ArtifactMissing):
        target(str(tmp_path))


def test_an_unfinished_artifact_can_be_looked_at(run, capsys):
    (tiny_run.folder(run, TOKEN_PAIRS).path / "manifest.json").unlink()
    code, out = printed(capsys, tiny_run.folder(run, TOKEN_PAIRS).url)
    assert code == 0
    assert re.search(r"rows +32\b", out)


def test_the_gallery_shows_originals_beside_reconstructions(run, tmp_path, capsys):
    page = tmp_path / "gallery.html"
    code, out = printed(capsys, run.root, "--html", page)
    html = page.read_text()
    assert code == 0
    assert str(page) in out
    assert html.count("<article") == 32
    assert html.count("data:image/png;base64,") == 64
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert tiny_run.clean_rows("val")[0]["caption"] in html


def test_the_gallery_does_without_the_makers(run, tmp_path, capsys):
    for artifact in (DVAE, BPE, CLEAN_PAIRS):
        tiny_run.folder(run, artifact).clear()
    page = tmp_path / "gallery.html"
    code, out = printed(capsys, run.root, "--html", page)
    assert code == 0
    assert "captions as stored" in out
    assert "data:image" not in page.read_text()
    assert "not decoded" in page.read_text()


def test_captions_cannot_become_markup(run, tmp_path, capsys):
    def change(table):
        captions = pa.array(["</h2><script>alert(1)</script> [bold]"] * len(table))
        field = pa.field("caption", pa.string(), nullable=False)
        return table.set_column(table.column_names.index("caption"), field, captions)

    rewrite(shard(run), change)
    page = tmp_path / "gallery.html"
    code, out = printed(capsys, run.root, "--html", page)
    assert code == 0
    assert "<script>alert" not in page.read_text()
    assert "[bold]" in out


def test_originals_are_the_crop_that_was_encoded(run):
    found = target(run.root)
    pairs = list(some_rows(found.folder, found.names, 4))
    clean = tiny_run.folder(run, CLEAN_PAIRS)
    shown = originals(clean, pairs, side=24)
    assert shown.keys() == {row["key"] for row in pairs}
    row = tiny_run.clean_rows("train")[0]
    pixels = tiny_run.decode(row["image"])
    assert np.array_equal(shown[row["key"]], pixels[0:24, 1:25])  # the crop is a whole square


@pytest.mark.parametrize("count", [1, 5, 24, 100])
def test_some_rows_are_spread_over_shards(run, count):
    found = target(run.root)
    pairs = list(some_rows(found.folder, found.names, count))
    assert min(count, 2 * 8) <= len(pairs) <= count  # the smaller shard has eight
    if count > 1:
        assert {row["shard"] for row in pairs} == set(found.names)


def test_quantiles_by_hand():
    counts = np.array([0, 1, 2, 1])  # the values 1, 2, 2, 3
    assert quantiles(counts, (0, 0.25, 0.5, 0.75, 1)) == [1, 1, 2, 2, 3]


def test_spark_is_as_high_as_the_counts():
    assert spark(np.array([0, 4, 8])) == " ▄█"
    assert spark(np.zeros(3, int)) == "   "


def test_no_rows_are_no_error(run, capsys):
    rewrite(shard(run, "val"), lambda table: table.slice(0, 0))
    code, out = printed(capsys, shard(run, "val"))
    assert code == 0
    assert re.search(r"rows +0\b", out)


def test_empty_statistics():
    assert Tokens().total == 0
