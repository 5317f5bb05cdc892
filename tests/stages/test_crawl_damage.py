"""What of a list is damaged costs its own rows only, and the crawl says so; nothing is no crawl."""

import gzip
import json

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from schemas.errors import ConfigError, UserError
from schemas.settings import CrawlSettings, SourceSettings
from stages import crawl
from stages.crawl.outcome import damage, require_pictures
from stages.crawl.sources import pieces
from stages.crawl.sources.listed import is_damage
from stages.shards import Outcome, ShardStats
from tests.stages import hostile
from tests.stages.finished import NOTHING
from tests.stages.test_crawl import read_all
from tests.stages.test_crawl_earlier import finish
from tests.stages.test_crawl_lists import job, listed

ROWS = 400
GROUP = 100
TABLE = pa.table(
    {
        "url": [f"http://a.org/{n}.jpg" for n in range(ROWS)],
        "caption": [f"caption {n} " + "of words" * (n % 7) for n in range(ROWS)],
        "id": list(range(ROWS)),
    }
)


def parquet(path, **options):
    pq.write_table(TABLE, path, row_group_size=GROUP, **options)
    return bytearray(path.read_bytes()), pq.ParquetFile(path).metadata


def start_of(chunk):
    return chunk.dictionary_page_offset or chunk.data_page_offset


def end_of(chunk):
    return start_of(chunk) + chunk.total_compressed_size


WAYS = {  # of a column chunk -> from where to where, and what is there then
    "a data page": lambda chunk: (end_of(chunk) - 20, end_of(chunk), b"\xff"),
    "the header of a page": lambda c: (c.data_page_offset, c.data_page_offset + 12, b"\0"),
    "a dictionary page": lambda chunk: (start_of(chunk), start_of(chunk) + 40, b"\xfe"),
    "a column chunk": lambda chunk: (start_of(chunk), end_of(chunk), b"\0"),
}


def spoil(data, way, metadata, group, column=0):
    start, end, byte = WAYS[way](metadata.row_group(group).column(column))
    data[start:end] = byte * (end - start)


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("column", range(3))
def test_damage_in_a_row_group_costs_rows_of_this_group_only(tmp_path, compression, way, column):
    path = tmp_path / "list.parquet"
    data, metadata = parquet(path, compression=compression, write_page_checksum=True)
    spoil(data, way, metadata, 2, column)
    path.write_bytes(data)
    found = listed(job(path, rows_per_shard=150), open_folder(tmp_path / "out"))
    assert len(found) == ROWS
    for number, row in enumerate(found):
        if number // GROUP == 2:
            assert is_damage(row), row
            assert row["problem"].startswith("unreadable_row: damaged: list.parquet, row group 2: ")
        else:
            assert (row["url"], row["problem"]) == (f"http://a.org/{number}.jpg", None)


def test_rows_before_a_damaged_page_are_kept(tmp_path):
    path = tmp_path / "list.parquet"
    pq.write_table(
        TABLE, path, data_page_size=256, write_batch_size=16, use_dictionary=False,
        compression="zstd", write_page_checksum=True,
    )  # fmt: skip
    data = bytearray(path.read_bytes())
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(1)
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[middle : middle + 300] = b"\xff" * 300
    path.write_bytes(data)
    shown = {}
    for rows_per_shard in (64, 150, 400):
        rows = listed(job(path, rows_per_shard), open_folder(tmp_path / str(rows_per_shard)))
        shown[rows_per_shard] = [row["problem"] is None for row in rows]
    assert shown[64] == shown[150] == shown[400]
    good = sum(shown[64])
    assert 64 <= good < 300
    assert shown[64] == [True] * good + [False] * (ROWS - good)


@pytest.mark.parametrize("cut", [1, 9, 2_000, 99_999])
def test_a_parquet_list_without_its_end_is_one_sentence(tmp_path, cut):
    path = tmp_path / "list.parquet"
    data, _ = parquet(path)
    path.write_bytes(data[:-cut])
    with pytest.raises(ConfigError, match=r"wanted a Parquet file at .*list.parquet, found none"):
        pieces(job(path), open_folder(tmp_path / "out"))


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"), (b"<html>", "HTML")],
)
def test_a_parquet_list_that_is_something_else_is_one_sentence(tmp_path, head, kind):
    (tmp_path / "list.parquet").write_bytes(head + b"x" * 99)
    with pytest.raises(ConfigError, match=rf"wanted Parquet in .*list.parquet, found .*{kind}"):
        pieces(job(tmp_path / "list.parquet"), open_folder(tmp_path / "out"))


def test_damage_of_a_packed_parquet_list_is_the_same(tmp_path):
    data, metadata = parquet(tmp_path / "x.parquet", write_page_checksum=True)
    spoil(data, "a data page", metadata, 1)
    (tmp_path / "list.parquet.gz").write_bytes(gzip.compress(data))
    rows = listed(job(tmp_path / "list.parquet.gz"), open_folder(tmp_path / "out"))
    assert [number for number, row in enumerate(rows) if is_damage(row)] == list(range(100, 200))


class _Failing:
    """A store whose files cannot be read beyond their first reads, for now."""

    def __init__(self, file):
        self.file, self.reads = file, 0

    def read(self, size):
        self.reads += 1
        if self.reads > 1:
            raise OSError("the store answers no more")
        return self.file.read(size)

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_store_that_fails_is_no_damage(tmp_path):
    from stages.crawl.sources.content import Stored

    path = tmp_path / "list.parquet"
    parquet(path)
    with fsspec.open(path.as_uri(), "rb") as file, pytest.raises(UserError, match="no more"):
        pq.ParquetFile(Stored(_Failing(file), "list")).read()


def stats(name, rows_out, health=None):
    return ShardStats(
        name=name, rows_in=2, rows_out=rows_out, rejects={"missing_file": 2 - rows_out},
        health=health or {}, files={}, quarantined=False,
    )  # fmt: skip


def test_damage_of_all_shards_is_counted_and_the_first_named():
    hurt = {"damaged": {"rows": 3, "first": "b, row group 1: x"}}
    some = Outcome((stats("a", 1), stats("b", 1, hurt), stats("c", 1, hurt)), {})
    assert damage(some) == {"damaged": {"rows": 6, "first": "b, row group 1: x"}}
    assert damage(Outcome((stats("a", 1),), {})) == {}


def test_a_crawl_with_one_picture_is_a_crawl(tmp_path):
    out = open_folder(tmp_path)
    require_pictures(Outcome((stats("a", 0), stats("b", 1)), {}), out, SourceSettings())


@pytest.mark.ray
def test_a_crawl_that_read_nothing_is_not_done_and_tries_again(ray_cluster, tmp_path):
    with hostile.served() as web:
        urls = [web.url("missing", 1), web.url("missing", 2), "nonsense"]
        allow = web.allow_hosts
        (tmp_path / "list.csv").write_text("url,caption\n" + "".join(f"{u},c\n" for u in urls))
        out = open_folder(tmp_path / "out")
        cfg = CrawlSettings(
            side=64, retries=0, run={"allow_hosts": allow}, rows_per_shard=2,
            source=SourceSettings(path=str(tmp_path / "list.csv")),
        )  # fmt: skip
        for _ in range(2):
            with pytest.raises(UserError, match=r"of 3 rows not one.*\(bad_url 1, http_404 2; the"):
                crawl.run(NOTHING, out, cfg)
            assert not out.list("stats/")
            assert not out.list("shard-")
        asked = len(web.requests)
        assert asked >= 2


@pytest.mark.ray
def test_a_mended_list_takes_over_what_was_fetched(ray_cluster, tmp_path):
    """The first crawl ends with damage; another was broken off; both are an earlier crawl."""
    with hostile.served() as web:
        urls = [web.url("fine", number) for number in range(12)]
        urls[0] = urls[0].removeprefix("http:")
        urls[1] = f"<{urls[1]}>".replace("http", "HTTP").replace("fine/", "fine&#x2F;")
        whole = pa.table({"url": urls, "caption": urls})
        path = tmp_path / "list.parquet"
        pq.write_table(whole, path, row_group_size=4, write_page_checksum=True)
        data, mended = bytearray(path.read_bytes()), path.read_bytes()
        spoil(data, "a column chunk", pq.ParquetFile(path).metadata, 1)
        path.write_bytes(data)

        def cfg(**settings):
            own = {"side": 64, "rows_per_shard": 4, "retries": 0,
                   "run": {"allow_hosts": web.allow_hosts}}  # fmt: skip
            return CrawlSettings(source=SourceSettings(path=str(path)), **own | settings)

        first = open_folder(tmp_path / "first")
        result = crawl.run(NOTHING, first, cfg())
        assert (result.rows_in, result.rejects) == (12, {"unreadable_row": 4})
        assert result.health["damaged"]["rows"] == 4
        assert result.health["damaged"]["first"].startswith("list.parquet, row group 1: ")
        assert result.health["source"] == {"found": 1, "passed_over": {}}

        broken_off = open_folder(tmp_path / "broken off")
        for name in first.list():
            broken_off.commit(name, first.open(name).read())
        crawl.leave_settings(broken_off, cfg(), crawl.REVISION)
        broken_off.remove("stats/shard-00002.json")
        finish(first, cfg())
        path.write_bytes(mended)
        for number, (earlier, new) in enumerate(
            [(first, {4, 5, 6, 7}), (broken_off, set(range(4, 12)))]
        ):
            asked = web.requests.copy()
            again = cfg(earlier=str(earlier.path))
            out = open_folder(tmp_path / f"second{number}")
            assert crawl.run(NOTHING, out, again).rows_out == 12
            assert [row["url"] for row in read_all(out)] == urls
            fetched = {p for p in (web.requests - asked) if p.startswith("fine")}
            assert fetched == {f"fine/{n}.jpg" for n in new}
        outside = {
            crawl.outside(cfg(earlier=str(e.path)))["crawl.earlier"] for e in (first, broken_off)
        }
        assert len(outside) == 2


def test_what_an_unfinished_crawl_must_have(tmp_path):
    out = open_folder(tmp_path)
    cfg = CrawlSettings(side=64, earlier=str(tmp_path))
    (tmp_path / "list.csv").write_text("url,caption\nhttp://a.org/,a\n")
    cfg = cfg.model_copy(update={"source": SourceSettings(path=str(tmp_path / "list.csv"))})
    crawl.leave_settings(out, cfg.model_copy(update={"encode_quality": 90}), crawl.REVISION)
    with pytest.raises(ConfigError, match="without a finished shard"):
        crawl.outside(cfg)
    out.commit("stats/shard-00000.json", json.dumps({}).encode())
    assert "crawl.earlier" in crawl.outside(cfg)
    with pytest.raises(ConfigError, match=r"encode_quality=90 \(now 95\)"):
        crawl.run(NOTHING, open_folder(tmp_path / "out"), cfg)
