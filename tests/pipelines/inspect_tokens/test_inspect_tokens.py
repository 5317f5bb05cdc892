"""Token shards are described as they are, the broken ones by name."""

import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from pipelines.inspect_tokens import __main__ as inspect_tokens
from pipelines.inspect_tokens import repeats
from pipelines.inspect_tokens.counts import count_tokens
from pipelines.inspect_tokens.gallery import originals
from pipelines.inspect_tokens.repeats import Repeats, hashes
from pipelines.inspect_tokens.terminal import quantiles, spark
from pipelines.inspect_tokens.token_shards import read_footers, some_rows, target
from schemas.artifacts import BPE, CLEAN_PAIRS, DVAE, TOKEN_PAIRS
from schemas.errors import ArtifactMissing
from schemas.rows import FLIP
from tests import s3, tiny_run, token_shards
from tests.pipelines.inspect_tokens import damage
from tests.pipelines.inspect_tokens.damage import printed, rewrite, shard


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
    assert f"decoded {first['caption'][:10]}" in out
    assert max(map(len, out.splitlines()[1:])) <= 80


def test_counts_are_those_of_plain_pyarrow(run):
    tokens = count_tokens(target(run.root))
    tables = [pq.read_table(shard(run, split)) for split in ("train", "val")]
    codes = np.concatenate([np.array(table["image"].to_pylist()).ravel() for table in tables])
    assert tokens.codes.tolist() == np.bincount(codes, minlength=16).tolist()
    lengths = [length for table in tables for length in table["text_length"].to_pylist()]
    assert tokens.lengths.tolist() == np.bincount(lengths, minlength=13).tolist()
    assert tokens.bytes == sum(shard(run, split).stat().st_size for split in ("train", "val"))


@pytest.mark.parametrize(("broken", "said"), damage.ALL)
def test_a_broken_shard_is_named_and_the_others_are_read(run, capsys, broken, said):
    broken(shard(run, "val"))
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
    assert "text is not decoded" in out
    assert "data:image" not in page.read_text()
    assert "not decoded" in page.read_text()


def test_a_gallery_that_cannot_be_written_is_one_sentence(run, tmp_path, capsys):
    for file in (tmp_path / "no/folder.html", tmp_path):
        assert inspect_tokens.main([run.root, "--html", str(file)]) == 2
        assert re.match(
            r"error: wanted to write to --html .*give another place\n", capsys.readouterr().err
        )


def test_captions_cannot_become_markup(run, tmp_path, capsys):
    bad = "</h2><script>alert(1)</script> [bold]"
    damage.all_alike("caption", bad)(shard(run))
    page = tmp_path / "gallery.html"
    code, out = printed(capsys, run.root, "--html", page)
    assert code == 0
    assert "<script>alert" not in page.read_text()
    assert "[bold]" in out


def test_originals_are_the_crop_that_was_encoded(run):
    found = target(run.root)
    pairs = list(some_rows(found.folder, read_footers(found).good, 4))
    clean = tiny_run.folder(run, CLEAN_PAIRS)
    shown = originals(clean, pairs, side=24)
    assert shown.keys() == {row["key"] for row in pairs}
    row = tiny_run.clean_rows("train")[0]
    pixels = tiny_run.decode(row["image"])
    assert np.array_equal(shown[row["key"]], pixels[0:24, 1:25])  # the crop is a whole square
    flips = [{**pair, "key": pair["key"] + FLIP} for pair in pairs]
    for key, mirrored in originals(clean, flips, side=24).items():
        assert np.array_equal(mirrored, shown[key.removesuffix(FLIP)][:, ::-1])


@pytest.mark.parametrize("count", [1, 5, 24, 100])
def test_some_rows_are_spread_over_shards(run, count):
    found = target(run.root)
    pairs = list(some_rows(found.folder, read_footers(found).good, count))
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


def test_rows_that_repeat_others_are_counted(run, capsys):
    rewrite(shard(run, "val"), lambda table: pa.concat_tables([table, table.slice(0, 3)]))
    code, out = printed(capsys, run.root)
    assert code == 0
    rows = [
        row for split in ("train", "val") for row in pq.read_table(shard(run, split)).to_pylist()
    ]
    contents = {(tuple(row["text"]), tuple(row["image"])) for row in rows}
    assert re.search(r"repeated keys +3\b", out)
    assert re.search(rf"repeated rows +{35 - len(contents)}\b", out)


def test_of_very_many_rows_a_share_stands_for_all(monkeypatch):
    monkeypatch.setattr(repeats, "MOST_HASHES", 1 << 14)
    values = [b"%d" % (number % 40_000) for number in range(60_000)]  # a third repeats another
    found = Repeats(len(values))
    for start in range(0, len(values), 1000):
        found.add(hashes(values[start : start + 1000]))
    assert found.one_in == 4
    assert found.count == pytest.approx(20_000, rel=0.05)
    assert sum(map(len, found._kept)) < 1 << 14


def test_the_shard_unlike_the_others_is_the_broken_one(tmp_path, capsys):
    folder = open_folder(tmp_path)
    first, *_ = token_shards.write(folder, 3, 20)
    damage.other_dvae(tmp_path / first)
    code, out = printed(capsys, tmp_path)
    assert code == 1
    assert f"broken {first}: dvae_sha256 is eee" in " ".join(out.split())
    assert "1 of 3 shards are broken" in out


def test_the_codes_are_compared_with_their_entropy(tmp_path):
    token_shards.write(open_folder(tmp_path), 2, 2000, token_shards.PAPER)
    tokens = count_tokens(target(str(tmp_path)))
    share = tokens.codes / tokens.codes.sum()
    bits = sum(-s * math.log2(s) for s in share if s)
    assert tokens.entropy == pytest.approx(bits)
    stored = tokens.image_bytes / 4000
    assert 1 < stored / (1024 * bits / 8) < 1.1
    assert 0.9 * tokens.bytes < tokens.image_bytes < tokens.bytes


def test_codes_that_no_picture_has_are_listed(run, capsys):
    for split in ("train", "val"):
        damage.all_alike("image", [0, 2, 4, 6])(shard(run, split))
    _, out = printed(capsys, run.root)
    assert re.search(r"dead +12  \(1 3 5 7 8 9 10 11 …\)", out)
    assert re.search(r"perplexity +4\.0 ", out)


def test_captions_cut_are_counted_by_encode_and_bounded_without_it(run, capsys):
    _, out = printed(capsys, run.root)
    assert re.search(r"truncated +1 captions  \(3.12%\)", out)  # in the manifest's health
    lengths = pq.read_table(shard(run))["text_length"].to_pylist()
    _, out = printed(capsys, shard(run))
    assert re.search(rf"truncated +at most {lengths.count(12)} captions", out)


def test_an_object_store_and_a_log_without_a_terminal(run, capsys, caplog):
    caplog.set_level("INFO")
    with s3.served("corpus") as address:
        for name in run.top.list():
            with run.top.open(name) as file:
                open_folder(f"{address}/run").commit(name, file.read())
        code, out = printed(capsys, f"{address}/run")
        assert code == 0
        assert re.search(r"rows +32\b", out)
        first = tiny_run.clean_rows("train")[0]
        assert f"decoded {first['caption'][:10]}" in out
        lone = (
            f"{address}/run/token_pairs/{tiny_run.fingerprint(TOKEN_PAIRS)}/val/shard-00000.parquet"
        )
        code, out = printed(capsys, lone)
        assert code == 0
        assert re.search(r"rows +8\b", out)
    assert "inspect: 32/32 rows" in caplog.text
