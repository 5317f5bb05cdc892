"""Whatever the form of the list, the pieces together are the list, each row once and in order."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from schemas.errors import ConfigError
from schemas.settings import CrawlSettings, SourceSettings
from stages import crawl
from stages.crawl.sources import pieces, read_piece
from stages.crawl.sources.listed import LISTED
from tests import s3

ROWS = [
    {"url": f"http://a.org/{n}.jpg", "caption": f'line, "{n}"\nof two' if n % 7 else None, "id": n}
    for n in range(95)
]


def job(path, rows_per_shard=20, **source):
    return CrawlSettings(
        side=64,
        rows_per_shard=rows_per_shard,
        source=SourceSettings(kind="urls", path=str(path), **source),
    )


def listed(cfg, out):
    found = pieces(cfg, out)
    assert [piece.index for piece in found] == list(range(len(found)))
    tables = [read_piece(piece, cfg.source, out) for piece in found]
    for piece, table in zip(found, tables, strict=True):
        assert len(table) == piece.rows <= cfg.rows_per_shard
    return pa.concat_tables(tables).cast(LISTED).to_pylist()


def as_csv(delimiter):
    def quoted(text):
        return '"' + text.replace('"', '""') + '"'

    rows = [delimiter.join(("url", "caption", "id"))]
    rows += [delimiter.join((r["url"], quoted(r["caption"] or ""), str(r["id"]))) for r in ROWS]
    return "\n".join(rows).encode()


JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
TEXTS = {
    "list.csv": as_csv(","),
    "list.tsv": as_csv("\t"),
    "list.jsonl": JSONL,
    "list.jsonl.gz": gzip.compress(JSONL),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("rows_per_shard", [20, 95, 1_000])
def test_the_pieces_of_a_text_list_are_the_list(tmp_path, name, rows_per_shard):
    (tmp_path / name).write_bytes(TEXTS[name])
    found = listed(job(tmp_path / name, rows_per_shard), open_folder(tmp_path / "out"))
    assert [row["url"] for row in found] == [row["url"] for row in ROWS]
    assert [row["caption"] or None for row in found] == [row["caption"] for row in ROWS]
    assert [int(json.loads(row["source"])["id"]) for row in found] == list(range(95))


@pytest.mark.parametrize("group", [7, 20, 95])
@pytest.mark.parametrize("rows_per_shard", [1, 20, 33, 95, 1_000])
def test_the_pieces_of_parquet_lists_are_the_lists(tmp_path, group, rows_per_shard):
    (tmp_path / "lists").mkdir()
    for name, part in {"b": ROWS[50:], "a": ROWS[:50], "empty": []}.items():
        table = pa.Table.from_pylist(
            part, pa.schema({"id": "int64", "caption": "string", "url": "string"}.items())
        )
        pq.write_table(table, tmp_path / "lists" / f"{name}.parquet", row_group_size=group)
    out = open_folder(tmp_path / "out")
    found = listed(job(tmp_path / "lists", rows_per_shard), out)
    assert [row["url"] for row in found] == [row["url"] for row in ROWS]
    assert [row["caption"] for row in found] == [row["caption"] for row in ROWS]
    assert found[3]["source"] == '{"id": 3}'
    assert out.list() == ["input/survey.json"]  # Parquet is cut where it lies


def read(tmp_path, name, data, **source):
    """List one file; return url and caption of the good rows, and the problems of the others."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
    return parted(listed(job(tmp_path / name, **source), open_folder(tmp_path / "out")))


def parted(found):
    """Return url and caption of the good rows, and the problems of the others."""
    good = [(row["url"], row["caption"]) for row in found if row["problem"] is None]
    return good, [row["problem"] for row in found if row["problem"] is not None]


def test_a_tsv_without_names_whose_quotes_are_text(tmp_path):
    rows = [
        'a "very" typical station\thttp://a.org/1',
        '"to be" or not\thttp://a.org/2',
        '"an open one\thttp://a.org/3',
        'and another"\thttp://a.org/4',
        '"whole"\thttp://a.org/5',
        "no url",
    ]
    good, problems = read(
        tmp_path, "Train_GCC.tsv", "\n".join(rows).encode(), columns=("caption", "url")
    )
    assert good == [
        ("http://a.org/1", 'a "very" typical station'),
        ("http://a.org/2", '"to be" or not'),
        ("http://a.org/3", '"an open one'),
        ("http://a.org/4", 'and another"'),
        ("http://a.org/5", "whole"),
    ]
    assert problems == ["unreadable_row: Train_GCC.tsv, line 6: 1 columns, not 2: no url"]


def write_some(put):
    """Lists of three kinds; `put(name, bytes)` writes one."""
    put("a.csv", b"url,caption\nu1,one\n")
    put("b.csv.gz", gzip.compress(b"url,caption\nu2,two\n", mtime=0))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"url": ["u3"], "caption": ["three"]}), sink)
    put("c.parquet.gz", gzip.compress(sink.getvalue().to_pybytes(), mtime=0))
    put("sub/d.tsv", b"url\tcaption\nu4\tfour\n")
    put("sub/notes.txt", b"not a list")


WAYS = {
    "": ["u1", "u2", "u3", "u4"],
    "/a.csv": ["u1"],
    "/*.csv*": ["u1", "u2"],
    "/**/[d-z].*": ["u4"],
}


def require_all_ways(top, tmp_path):
    write_some(open_folder(top).commit)
    for number, (way, urls) in enumerate(WAYS.items()):
        found = listed(job(top + way), open_folder(tmp_path / f"out{number}"))
        assert [row["url"] for row in found] == urls


def test_lists_are_a_file_a_folder_a_glob_or_several(tmp_path):
    top = f"{tmp_path}/lists"
    require_all_ways(top, tmp_path)
    several = job(f"{top}/sub, {top}/*.csv, {top}/sub/d.tsv")
    found = listed(several, open_folder(tmp_path / "several"))
    assert [row["url"] for row in found] == ["u4", "u1"]
    with pytest.raises(ConfigError, match=r"found nothing at '.*/z\*'"):
        pieces(job(f"{top}/a.csv,{top}/z*"), open_folder(tmp_path / "no"))


def test_lists_on_an_object_store(tmp_path):
    with s3.served("lists") as top:
        require_all_ways(top, tmp_path)
        assert len(crawl.outside(job(top + "/*.csv"))) == 1


def test_a_cut_that_was_interrupted_is_cut_again_the_same_way(tmp_path):
    (tmp_path / "list.csv").write_bytes(TEXTS["list.csv"])
    out, cfg = open_folder(tmp_path / "out"), job(tmp_path / "list.csv")
    first = pieces(cfg, out)
    out.remove("input/done.json")
    assert pieces(cfg, out) == first


def test_other_column_names_can_be_set_and_wrong_ones_are_one_sentence(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("URL,TEXT,url\nhttp://a.org/1,one,x\n")
    cfg = job(path, url_column="URL", caption_column="TEXT")
    [row] = listed(cfg, open_folder(tmp_path / "out"))
    assert (row["url"], row["caption"], row["source"]) == ("http://a.org/1", "one", '{"url": "x"}')
    with pytest.raises(ConfigError, match=r"wanted a column 'words' in .*found \['URL', 'TEXT', "):
        listed(job(path, caption_column="words"), open_folder(tmp_path / "out2"))
    (tmp_path / "list.txt").write_text("http://a.org/1")
    with pytest.raises(ConfigError, match=r"ends in \.parquet, \.csv"):
        pieces(job(tmp_path / "list.txt"), open_folder(tmp_path / "out3"))


def test_the_digest_of_a_source_is_its_content(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(TEXTS["list.csv"])
    before = crawl.outside(job(path))
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "list.csv").write_bytes(TEXTS["list.csv"])
    assert crawl.outside(job(tmp_path / "else" / "list.csv")) == before
    path.write_bytes(TEXTS["list.csv"][:-3] + b"99\n")
    assert crawl.outside(job(path)) != before


def test_a_column_of_bytes_is_left_out_of_the_list(tmp_path):
    table = pa.table(
        {
            "url": ["u1"],
            "md5": pa.array([b"\xff" * 16], pa.binary(16)),
            "picture": [{"bytes": b"\xff", "path": "p"}],
            "caption": ["one"],
            "width": [3],
        }
    )
    pq.write_table(table, tmp_path / "list.parquet")
    (found,) = listed(job(tmp_path / "list.parquet"), open_folder(tmp_path / "out"))
    assert (found["url"], found["caption"], found["source"]) == ("u1", "one", '{"width": 3}')
