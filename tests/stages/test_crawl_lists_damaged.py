"""Damaged lists: a row that cannot be read says so, and takes no other with it."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.store import open_folder
from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources import pieces
from stages.crawl.sources.text_lists import read_text_list
from tests.stages.test_crawl_lists import JSONL, ROWS, job, listed, parted, read


def test_broken_lines_of_json_are_rows_that_say_so(tmp_path):
    rows = [
        b'{"url": "u1", "caption": "one", "id": 7}',
        b"{not json",
        b'["a list"]',
        b"",
        b'{"caption": "no url"}',
        b'{"url": "u2", "caption": null}',
        b'{"url": "u3", "caption": {"an": "object"}}',
        b'{"url": "u4", "caption": "half a pair \\ud800"}',
        b'{"url": "u5", "caption": "\xff\xfe"}',
        b'{"url": "u6", "caption": "a\\u0000b"}',
        b"[" * 100_000,
        b'{"url": "u7", "caption": "' + b"x" * 1_100_000 + b'"}',
        b'{"url": "u8", "caption": ' + json.dumps(["x"] * 101).encode() + b"}",
        b'{"url": "u9", "caption": 9}',
    ]
    good, problems = read(tmp_path, "list.jsonl", b"\n".join(rows))
    assert good == [("u1", "one"), ("", "no url"), ("u2", None), ("u9", "9")]
    assert [p.partition(": ")[0] for p in problems] == ["unreadable_row"] * 9
    assert problems[0] == "unreadable_row: list.jsonl, line 2: no JSON: {not json"
    assert "line 3: no JSON object" in problems[1]
    assert "a caption that is no text" in problems[2]
    assert "list.jsonl: half of a character, such as of an emoji that was cut in" in problems[3]
    assert ": u4 half a pair \\ud800" in problems[3]
    assert "\\udcff" in problems[4]
    assert "NUL" in problems[5]
    assert "line 11: no JSON" in problems[6]
    assert "a line of more than 1000000 characters" in problems[7]
    assert "101 captions of one picture" in problems[8]
    assert all(len(problem) < 500 for problem in problems)


def test_broken_rows_of_csv_are_rows_that_say_so_and_swallow_no_other(tmp_path):
    rows = [
        b"url,caption",
        b"http://a.org/1,one",
        b"http://a.org/2",
        b"http://a.org/3,three,more,columns",
        b'http://a.org/4,"a stray quote',
        b"http://a.org/5,five",
        b'http://a.org/6,"six, with\r',  # a quoted row of several lines
        b'a line of its own, and http://a.org/6 in it"',
        b"http://a.org/7,\xff",
        b"http://a.org/8,\x00",
        b",no url",
        b'http://a.org/9,"never closed',
        b"http://a.org/10,ten",
    ]
    good, problems = read(tmp_path, "list.csv", b"\n".join(rows))
    six = "six, with\r\na line of its own, and http://a.org/6 in it"
    assert good == [
        ("http://a.org/1", "one"),
        ("http://a.org/5", "five"),
        ("http://a.org/6", six),
        ("", "no url"),
        ("http://a.org/10", "ten"),
    ]
    assert problems == [
        "unreadable_row: list.csv, line 3: 1 columns, not 2: http://a.org/2",
        "unreadable_row: list.csv, line 4: 4 columns, not 2: http://a.org/3,three,more,columns",
        'unreadable_row: list.csv, line 5: a quote that is never closed: http://a.org/4,"a stray '
        "quote",
        "unreadable_row: list.csv: not in its encoding (crawl.source.encoding can name another): "
        "http://a.org/7 \\udcff",
        "unreadable_row: list.csv: a NUL character: http://a.org/8 \\x00",
        "unreadable_row: list.csv, line 12: a quote that is never closed: "
        'http://a.org/9,"never closed',
    ]


def test_a_quote_that_is_closed_far_behind_takes_one_row_with_it_only(tmp_path):
    rows = [f"http://a.org/{n},caption {n}" for n in range(3_000)]
    rows[1] = 'http://a.org/1,"stray'
    good, problems = read(tmp_path / "a", "list.csv", "\n".join(["url,caption", *rows]).encode())
    assert len(good) == 2_999
    assert len(problems) == 1
    words = ["url,caption", 'http://a.org/1,"stray', *["no row"] * 2_500, "http://a.org/2,two"]
    good, problems = read(tmp_path / "b", "list.csv", "\n".join(words).encode())
    assert good == [("http://a.org/2", "two")]
    assert len(problems) == 2_501


def test_of_a_damaged_gzip_file_the_readable_rows_are_kept(tmp_path):
    whole = gzip.compress(JSONL, mtime=0)
    good, problems = read(tmp_path / "a", "list.jsonl.gz", whole[: len(whole) // 2])
    assert 0 < len(good) < 95
    assert good == [(row["url"], row["caption"]) for row in ROWS[: len(good)]]
    assert "list.jsonl.gz, all after line" in problems[-1]
    with pytest.raises(ConfigError, match="'no gzip at all'"):
        read(tmp_path / "b", "list.csv.gz", b"no gzip at all")


def rows_read(path, data):
    """Read one file without cutting it; return what `read` does."""
    path.write_bytes(data)
    return parted(list(read_text_list(str(path), SourceSettings())))


@given(st.sampled_from([".csv", ".tsv", ".jsonl"]), st.binary(max_size=300))
def test_no_bytes_crash_the_listing_and_no_good_row_is_lost(tmp_path_factory, suffix, noise):
    rows = {
        ".csv": ["url,caption", "http://a.org/1,one", "http://a.org/2,two"],
        ".tsv": ["url\tcaption", "http://a.org/1\tone", "http://a.org/2\ttwo"],
        ".jsonl": ['{"url": "http://a.org/1", "caption": "one"}'] * 2
        + ['{"url": "http://a.org/2", "caption": "two"}'],
    }[suffix]
    first, second, last = (row.encode() for row in rows)
    noisy = b"\n".join((first, second, noise, last))
    good, _ = rows_read(tmp_path_factory.getbasetemp() / f"noise{suffix}", noisy)
    assert ("http://a.org/1", "one") in good
    if suffix != ".csv" or b'"' not in noise:
        assert ("http://a.org/2", "two") in good


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\t"), min_size=1)))
def test_captions_of_every_script_come_through_a_quoted_csv(tmp_path_factory, captions):
    quoted = "".join(f'u{n},"{c.replace(chr(34), chr(34) * 2)}"\n' for n, c in enumerate(captions))
    file = tmp_path_factory.getbasetemp() / "scripts.csv"
    good, problems = rows_read(file, f"url,caption\n{quoted}u,last\n".encode())
    assert problems == []
    assert [caption for _, caption in good] == [*(c.strip() for c in captions), "last"]


def test_parquet_of_strange_types_becomes_rows(tmp_path):
    bad = pa.array([b"fine", b"\xff", None, b"x", b"y"]).view(pa.string())
    table = pa.table(
        [
            pa.array(["u1", "u2", "u3", None, "u5"]),
            bad,
            pa.array([1, 2, 3, 4, 10**17], pa.timestamp("ms")),
            pa.array([["a"], [], ["b"], ["c"], ["d"]]),
        ],
        names=["url", "caption", "when", "when"],
    )
    pq.write_table(table, tmp_path / "list.parquet")
    found = listed(job(tmp_path / "list.parquet"), open_folder(tmp_path / "out"))
    assert [row["url"] for row in found] == ["u1", "", "u3", "", ""]
    assert [row["caption"] for row in found] == ["fine", None, None, "x", None]
    assert found[1]["problem"].startswith("unreadable_row: list.parquet: 'utf-8' codec")
    assert found[4]["problem"].startswith("unreadable_row: list.parquet: ")
    assert json.loads(found[0]["source"]) == {"when": "1970-01-01 00:00:00.001000", "when.2": ["a"]}

    lists = pa.table({"url": ["u1", "u2"], "caption": [["one", "uno"], []]})
    pq.write_table(lists, tmp_path / "lists.parquet")
    found = listed(job(tmp_path / "lists.parquet"), open_folder(tmp_path / "out"))
    assert [(row["caption"], row["more"]) for row in found] == [("one", ["uno"]), (None, None)]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no parquet")
    with pytest.raises(ConfigError, match=r"wanted a Parquet file at .*broken"):
        pieces(job(tmp_path / "broken.parquet"), open_folder(tmp_path / "out"))


def test_a_list_without_rows_or_without_names_is_one_sentence(tmp_path):
    for name, data, word in (
        ("empty.csv", b"", "wanted rows in .*found none"),
        ("names.csv", b"url,caption\n", "wanted rows in .*found none"),
        ("quote.csv", b'url,"caption\nu,c\n', "wanted the names of the columns"),
    ):
        with pytest.raises(ConfigError, match=word):
            read(tmp_path / name.partition(".")[0], name, data)
