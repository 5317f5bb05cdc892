"""Every row of a run can be asked for, and the answer is what the artifacts hold."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from infra.store import Store
from pipelines.why.__main__ import main
from pipelines.why.description import lines, measures
from pipelines.why.row_search import rows_where
from schemas import rows
from schemas.artifacts import CLEAN_PAIRS, PAIRS, TOKEN_PAIRS
from schemas.manifest import MANIFEST
from stages.data.parquet import PICTURE_FILE, parquet_bytes
from tests import s3, tiny_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("why")
    store = tiny_run.build(path)
    # What the filter does to a duplicate and to a boring caption, with rows of the crawl for both.
    found = tiny_run.clean_rows("train")
    extra = [
        found[3] | {"key": "copy", "url": "http://127.0.0.1:1/copy.png", "status": "ok"},
        found[4] | {"key": "short", "url": "http://127.0.0.1:1/short.png", "status": "ok",
                    "caption": "\x1b[2Jx", "original_width": 300, "original_height": 200},
    ]  # fmt: skip
    keep = [{k: row[k] for k in row if k in rows.PAIR.names} for row in extra]
    tiny_run.table(store, PAIRS, "shard-00001.parquet", keep, rows.PAIR)
    duplicate = {**extra[0], "reason": "duplicate", "chars": 30}
    short = {**extra[1], "reason": "caption_too_short", "chars": 1, "english": 0.5}
    dropped = [duplicate | {"group": found[3]["group"]}, short]
    tiny_run.table(store, CLEAN_PAIRS, "dropped/shard-00001.parquet", dropped, rows.DROPPED)
    folder = tiny_run.folder(store, CLEAN_PAIRS)
    text = folder.open(MANIFEST).read().decode()
    thresholds = '"min_chars": 5, "max_chars": 1000, "max_nsfw": 0.5'
    folder.commit(MANIFEST, text.replace('"seed": 5', '"seed": 5, ' + thresholds, 1).encode())
    return path


def ask(root, wanted, capsys, code=0):
    assert main([wanted, "--root", str(root)]) == code
    out, err = capsys.readouterr()
    assert all(len(line) <= 80 for line in out.splitlines())
    return out if code == 0 else err


def test_a_kept_row_by_url_key_and_picture(root, capsys):
    row = tiny_run.clean_rows("train")[2]
    by_url = ask(root, row["url"], capsys)
    assert by_url == ask(root, row["key"], capsys) == ask(root, row["sha256"], capsys)
    assert "train-0002" in by_url
    assert row["caption"] in " ".join(by_url.split())
    assert "filter    kept for train, in train/shard-00000.parquet; group train2" in by_url
    assert "tokens    encoded, in train/shard-00000.parquet" in by_url


def test_a_row_that_was_not_fetched(root, capsys):
    found = ask(root, "http://127.0.0.1:1/no/1.png", capsys)
    assert "key       bad-1" in found
    assert "crawl     failed: http_404 (HTTP Error 404: Not Found)" in found


def test_a_dropped_row_with_its_scores_beside_the_thresholds(root, capsys):
    found = ask(root, "short", capsys)
    assert "filter    dropped: caption_too_short" in found
    assert "          chars 1 (at least 5, at most 1000) <- fails" in found
    assert "          english 0.5\n" in found
    assert "300 x 200 pixels, stored as 26 x 24" in " ".join(found.split())
    assert "tokens" not in found
    assert r"\x1b[2Jx" in found  # a caption does not command the terminal
    assert "\x1b" not in found


def test_a_duplicate_names_the_row_that_was_kept(root, capsys):
    found = ask(root, "http://127.0.0.1:1/copy.png", capsys)
    assert "filter    dropped: duplicate" in found
    assert "chars 30 (at least 5, at most 1000)\n" in found
    assert "kept instead: train-0003 http://127.0.0.1:1/train/3.png" in found
    both = ask(root, tiny_run.clean_rows("train")[3]["sha256"], capsys)
    assert both.count("key       ") == 2


def test_no_such_row_and_no_crawl_are_one_sentence(root, tmp_path, capsys):
    error = ask(root, "http://127.0.0.1:1/else.png", capsys, code=2)
    assert error.startswith("error: wanted a row with the url, key or sha256")
    assert error.count("\n") == 1
    assert "error: wanted a run under" in ask(tmp_path, "x", capsys, code=2)


def test_what_was_made_of_another_crawl_is_not_asked(root, tmp_path, capsys):
    store = tiny_run.build(tmp_path)
    folder = tiny_run.folder(store, CLEAN_PAIRS)
    text = folder.open(MANIFEST).read().decode()
    folder.commit(MANIFEST, text.replace(tiny_run.fingerprint(PAIRS), "0" * 12).encode())
    found = ask(tmp_path, "train-0002", capsys)
    assert "filter    has not finished on this crawl" in found
    folder.commit(MANIFEST, text.encode())
    tokens = tiny_run.folder(store, TOKEN_PAIRS)
    tokens.remove(MANIFEST)
    assert "tokens    encode has not finished on these clean_pairs" in ask(
        tmp_path, "train-0002", capsys
    )


def test_a_run_on_an_object_store(capsys):
    with s3.served("why") as top:
        tiny_run.build(f"{top}/run")
        assert "kept for train" in ask(f"{top}/run", "train-0001", capsys)


def test_rows_are_found_in_any_row_group_without_their_pictures(tmp_path):
    table = pa.table(
        {
            "key": [f"k{n}" for n in range(50)],
            "url": [None if n == 7 else f"u{n % 10}" for n in range(50)],
            "image": [b"x"] * 50,
        }
    )
    store = Store(str(tmp_path))
    for name in ("shard-0.parquet", "shard-1.parquet"):
        store.top.commit(name, parquet_bytes(table, {"row_group_size": 7}))
    found = list(rows_where(store.top, ["shard-"], {"url": ["u3"], "key": ["k44"]}))
    assert [row["key"] for row in found] == ["k3", "k13", "k23", "k33", "k43", "k44"] * 2
    assert found[0] == {"key": "k3", "url": "u3", "file": "shard-0.parquet"}


class Watched:
    """A folder that remembers what the files it opened have fetched."""

    def __init__(self, folder):
        self.folder, self.list, self.caches = folder, folder.list, []

    def open(self, name):
        file = self.folder.open(name)
        self.caches.append(file.cache)
        return file


def test_pictures_are_not_fetched_from_a_store():
    rows_, picture = 1_000, 20_000
    table = pa.table(
        {
            "key": [f"k{n}" for n in range(rows_)],
            "image": [random.Random(n).randbytes(picture) for n in range(rows_)],
        }
    )
    with s3.served("columns") as top:
        watched = Watched(Store(top).top)
        watched.folder.commit("shard-0.parquet", parquet_bytes(table, PICTURE_FILE))
        [row] = rows_where(watched, ["shard-"], {"key": ["k700"]})
        assert row["key"] == "k700"
        assert watched.caches[0].total_requested_bytes < rows_ * picture / 10


def test_each_score_stands_beside_its_bounds():
    settings = {"min_chars": 5, "max_chars": 9, "max_nsfw": 1.0, "max_caption_pictures": None}
    settings |= {"side": 64, "watermarks": True, "seed": 3}
    scores = dict.fromkeys(field.name for field in rows.SCORES)
    found = {"chars": 7, "nsfw": 1.5, "short_side": 63, "caption_pictures": 200, "watermark": "x"}
    assert list(measures(scores | found | {"reason": "nsfw"}, settings)) == [
        "chars 7 (at least 5, at most 9)",
        "short_side 63 (at least 64) <- fails",
        "nsfw 1.5 (at most 1) <- fails",
        "watermark x <- fails",
        "caption_pictures 200",
    ]


def test_long_words_do_not_widen_the_answer():
    found = lines("url", "http://a.org/" + "x" * 300)
    assert max(map(len, found)) == 80
    assert lines("caption", "") == ["caption"]


@pytest.mark.parametrize("text", ["猫" * 100, "犬 と 猫 " * 30, "😀 " * 60, "한글 " * 40])
def test_letters_of_two_places_keep_the_80_columns(text):
    found = lines("caption", text)
    assert max(map(cell_len, found)) <= 80
    assert "".join("".join(found).removeprefix("caption").split()) == "".join(text.split())


@pytest.mark.slow
def test_every_reason_of_a_real_run_is_explained(request, capsys):
    run = request.getfixturevalue("tiny_run")
    clean = Store(str(run)).newest(CLEAN_PAIRS)
    one_of_each = {}
    for name in clean.list("dropped/"):
        for row in pq.read_table(clean.open(name), columns=["key", "reason"]).to_pylist():
            one_of_each[row["reason"]] = row["key"]
    assert len(one_of_each) > 5
    for reason, key in one_of_each.items():
        found = ask(run, key, capsys)
        assert f"filter    dropped: {reason}" in found
        assert ("kept instead" in found) == ("duplicate" in reason)
