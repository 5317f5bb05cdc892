"""Whatever the form of the list, the pieces together are the list, each row once and in order."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from schemas.configs import CrawlJob, SourceSettings
from schemas.errors import ConfigError
from stages import crawl
from stages.crawl.listed import LISTED
from stages.crawl.sources import pieces, read_piece

ROWS = [
    {"url": f"http://a.org/{n}.jpg", "caption": f'line, "{n}"\nof two' if n % 7 else None, "id": n}
    for n in range(95)
]


def job(path, rows_per_shard=20, **source):
    return CrawlJob(
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

    lines = [delimiter.join(("url", "caption", "id"))]
    lines += [delimiter.join((r["url"], quoted(r["caption"] or ""), str(r["id"]))) for r in ROWS]
    return "\n".join(lines).encode()


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
    assert out.list() == []  # Parquet is cut where it lies


def test_broken_lines_are_rows(tmp_path):
    lines = [json.dumps(ROWS[1]), "{not json", '["a list"]', "", json.dumps({"caption": "no url"})]
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    found = listed(job(tmp_path / "list.jsonl"), open_folder(tmp_path / "out"))
    assert [row["url"] for row in found] == [ROWS[1]["url"], "", "", ""]
    assert json.loads(found[1]["source"]) == {"broken_line": "{not json"}
    (tmp_path / "list.csv").write_text(
        "url,caption\nhttp://a.org/1\nhttp://a.org/2,two,more,columns\n"
    )
    found = listed(job(tmp_path / "list.csv"), open_folder(tmp_path / "out2"))
    assert [row["caption"] for row in found] == [None, "two"]


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
    with pytest.raises(
        ConfigError, match=r"wanted a column 'caption' in .*found \['URL', 'TEXT', 'url'\]; set"
    ):
        listed(job(path), open_folder(tmp_path / "out2"))
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
