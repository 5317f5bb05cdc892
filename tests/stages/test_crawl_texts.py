"""Lists as text as people have them: separators, encodings, preambles, other names of columns."""

import bz2
import gzip
import json
import lzma

import pytest
from pydantic import ValidationError

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from tests.stages.test_crawl_lists import read

URLS = ["http://a.org/1.jpg", "http://a.org/2.jpg"]
CAPTIONS = ["a red square, blue; green | grey", "two"]
GOOD = list(zip(URLS, CAPTIONS, strict=True))


def table(separator, names=("url", "caption"), end="\n", quote='"'):
    rows = [separator.join(names)]
    rows += [
        separator.join((url, f"{quote}{caption}{quote}" if separator in caption else caption))
        for url, caption in GOOD
    ]
    return end.join([*rows, ""])


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_by_looking_whatever_the_ending(tmp_path, suffix, separator, caplog):
    caplog.set_level("INFO")
    assert read(tmp_path, "list" + suffix, table(separator).encode()) == (GOOD, [])
    said = [record.message for record in caplog.records if "separated by" in record.message]
    own = {".csv": ",", ".tsv": "\t"}[suffix]
    assert len(said) == (separator != own)
    assert read(tmp_path / "set", "x.csv", table(separator).encode(), separator=separator) == (
        GOOD,
        [],
    )


PREAMBLES = {
    "blank": "\n\n",
    "spaces": "  \n",
    "empty cells": ",,\n,,\n",
    "comment": "# exported in 2024\n",
    "comment with a separator": "# exported, in 2024; by us\n",
    "comment that names the columns": "# url,caption\n",
    "title": "My list of pictures\n\n",
    "title with commas": "Export, of our shop, 2024,,\n",
    "other comments": "// made by hand\n-- and again\n% so\n",
    "quoted title": '"My ""list"""\n',
    "excel": "sep=,\n",
    "byte order mark": "\ufeff",
    "byte order mark and blank": "\ufeff\n",
}


@pytest.mark.parametrize("preamble", PREAMBLES.values(), ids=PREAMBLES)
def test_what_stands_before_the_line_of_names_is_passed_over(tmp_path, preamble):
    assert read(tmp_path, "list.csv", (preamble + table(",")).encode()) == (GOOD, [])


def test_a_line_behind_a_preamble_keeps_its_number(tmp_path):
    _, problems = read(tmp_path, "list.csv", b"# one\n\nurl,caption\nhttp://a.org/1\n")
    assert problems == ["unreadable_row: list.csv, line 4: 1 columns, not 2: http://a.org/1"]


OTHER_NAMES = [
    "URL,TEXT",
    " url , caption ",
    '"Url","Caption"',
    '"URL" , "caption"',
    "image_url,alt",
    "Image URL,Alt Text",
    "link,description",
    "#url,caption",
    "# url,caption",
    "img_url,prompt",
    "url,caption,,",
    "src,title",
]


@pytest.mark.parametrize("names", OTHER_NAMES)
def test_names_of_columns_that_leave_no_doubt_are_read(tmp_path, names):
    data = names + table(",").removeprefix("url,caption")
    assert read(tmp_path, "list.csv", data.encode()) == (GOOD, [])
    parts = [name.strip(' "#') for name in names.split(",")[:2]]
    lines = [json.dumps(dict(zip(parts, row, strict=True))) for row in GOOD]
    assert read(tmp_path / "json", "list.jsonl", "\n".join(lines).encode()) == (GOOD, [])


DOUBTFUL = {
    "address,words": r"found \['address', 'words'\] \(separated by ','\); set .*url_column to one",
    "url,alt,title": r"set crawl.source.caption_column to the one that is meant: alt, title",
    "url,Caption,CAPTION": "the one that is meant: Caption, CAPTION",
    "url": r"found \['url'\].*; a list without captions trains nothing: write them into a column "
    "'caption', crawl.source.separator",
    "a;b;c": r"found \['a', 'b', 'c'\] \(separated by ';'\).*crawl.source.separator",
    "http://a.org/9.jpg,words": "crawl.source.columns to the names if the file has no line of",
}


@pytest.mark.parametrize("names", DOUBTFUL)
def test_doubtful_names_of_columns_are_one_sentence(tmp_path, names):
    data = names + "\nhttp://a.org/1.jpg,one\n"
    with pytest.raises(ConfigError, match=DOUBTFUL[names]):
        read(tmp_path, "list.csv", data.encode())


def test_a_usual_name_is_not_taken_for_one_that_was_set(tmp_path):
    with pytest.raises(
        ConfigError, match=r"wanted a column 'mine' .* set crawl.source.url_column="
    ):
        read(tmp_path, "list.csv", b"link,caption\nhttp://a.org/,a\n", url_column="mine")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_rows_without_a_line_of_names_show_their_separator(tmp_path, separator):
    data = table(separator).partition("\n")[2]
    for comment in ("", "# no names\n\n"):
        folder = tmp_path / f"c{len(comment)}"
        found = read(folder, "list.csv", (comment + data).encode(), columns=("url", "caption"))
        assert found == (GOOD, [])


STRANGE = {
    "decimal commas": ("url;caption;score\nhttp://a.org/1;one;0,5\n", ("http://a.org/1", "one")),
    "excel's line": ("sep=;\nurl;caption\nhttp://a.org/1;one\n", ("http://a.org/1", "one")),
    "excel's odd one": ("sep=^\nurl^caption\nhttp://a.org/1^one\n", ("http://a.org/1", "one")),
    "cells too many": ("url,caption\nhttp://a.org/1,one,,\n", ("http://a.org/1", "one")),
    "lines ended twice": ("url,caption\r\r\nhttp://a.org/1,one\r\r\n", ("http://a.org/1", "one")),
    "old Macintosh": ("url,caption\rhttp://a.org/1,one\r", ("http://a.org/1", "one")),
    "NEL in a caption": ("url,caption\nhttp://a.org/1,a\x85b\n", ("http://a.org/1", "a\x85b")),
    "empty rows": ("url,caption\nhttp://a.org/1,one\n,\n,\n", ("http://a.org/1", "one")),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_spreadsheets_write_is_read(tmp_path, name):
    text, row = STRANGE[name]
    assert read(tmp_path, "list.csv", text.encode()) == ([row], [])


FOREIGN = [("http://a.org/1", "Grüße, “ein” Café"), ("http://a.org/2", "…")]
FOREIGN_CSV = 'url;caption\nhttp://a.org/1;"Grüße, “ein” Café"\nhttp://a.org/2;…\n'


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_unicode_shows_its_form(tmp_path, encoding, end):
    data = FOREIGN_CSV.replace("\n", end).encode(encoding)
    assert read(tmp_path, "list.csv", data) == (FOREIGN, [])
    rows = [json.dumps({"url": u, "caption": c}, ensure_ascii=False) for u, c in FOREIGN]
    assert read(tmp_path / "j", "l.jsonl", end.join(rows).encode(encoding)) == (FOREIGN, [])


@pytest.mark.parametrize("encoding", ["cp1252", "gb18030", "shift_jis", "utf-8"])
def test_other_encodings_are_set(tmp_path, encoding):
    text = "url,caption\nhttp://a.org/1,{}\n".format("青い丸" if encoding[0] in "gs" else "Grüße…")
    caption = text[:-1].rpartition(",")[2]
    found = read(tmp_path, "list.csv", text.encode(encoding), encoding=encoding)
    assert found == ([("http://a.org/1", caption)], [])
    # its own mark is stronger than the setting
    marked = read(tmp_path / "m", "list.csv", text.encode("utf-8-sig"), encoding=encoding)
    assert marked == found


def test_rows_of_another_encoding_say_which_setting_helps(tmp_path):
    data = "url,caption\nhttp://a.org/1,Grüße\nhttp://a.org/2,two\n".encode("cp1252")
    good, [problem] = read(tmp_path, "list.csv", data)
    assert good == [("http://a.org/2", "two")]
    assert "crawl.source.encoding" in problem
    lone = b"url,caption\n".decode().encode("utf-16-le") + b"u\0,\0\x00\xd8\n\0v\0,\0v\0\n\0x"
    good, problems = read(tmp_path / "w", "list.csv", lone)
    assert good == [("v", "v")]
    assert len(problems) == 2
    with pytest.raises(ConfigError, match="not UTF-8; crawl"):
        read(tmp_path / "n", "list.csv", "url,caption,größe\nu,c,1\n".encode("cp1252"))


ROWS = [{"url": url, "caption": caption} for url, caption in GOOD]
JSONS = {
    "a list": json.dumps(ROWS),
    "a list of lines": json.dumps(ROWS, indent=1),
    "lines": "\n".join(map(json.dumps, ROWS)),
    "in an object": json.dumps({"version": 1, "data": ROWS}),
    "in an object of lines": json.dumps({"info": {"a": 1}, "rows": ROWS}, indent=2),
    "a list with other things": json.dumps([*ROWS, "no row"]),
}


@pytest.mark.parametrize("name", JSONS)
def test_json_is_read_as_a_list_and_as_lines(tmp_path, name):
    good, problems = read(tmp_path, "list.json", ("\ufeff" + JSONS[name]).encode())
    assert good == GOOD
    assert len(problems) == ("other" in name)


@pytest.mark.parametrize("name", ["list.jsonl", "list.ndjson", "list.JSON"])
def test_a_list_under_the_name_of_lines_is_read_all_the_same(tmp_path, name):
    assert read(tmp_path, name, JSONS["a list"].encode()) == (GOOD, [])
    assert read(tmp_path / "x", name, JSONS["lines"].encode()) == (GOOD, [])


def test_json_without_one_list_is_a_sentence(tmp_path):
    for text, word in (
        (json.dumps({"images": ROWS, "annotations": ROWS}), r"2 lists \(images, annotations\)"),
        ('{\n"images": 3\n}', "found no list"),
        (json.dumps(ROWS)[:-9], r"found no JSON \("),
    ):
        with pytest.raises(ConfigError, match=f"wanted one list of objects in l.json, .*{word}"):
            read(tmp_path, "l.json", text.encode())


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("packer", PACKERS)
def test_what_is_packed_is_known_by_its_bytes(tmp_path, packer):
    plain, packed = table(",").encode(), PACKERS[packer](table(",").encode())
    for number, (name, data) in enumerate(
        [("l.csv." + packer, packed), ("l.csv", packed), ("l.csv.gz", plain), ("l.csv.xz", packed)]
    ):
        assert read(tmp_path / str(number), name, data) == (GOOD, [])
    _, problems = read(tmp_path / "cut", "l.csv." + packer, packed[: len(packed) - 9])
    assert len(problems) == 1
    assert "all after line" in problems[0]


OTHERS = {
    "Parquet": b"PAR1" + bytes(99),
    "zip": b"PK\x03\x04" + bytes(99),
    "Excel": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99),
    "HTML": b"\n <!DOCTYPE html><html>sign in</html>",
    "XML": b"<?xml version='1.0'?><a/>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "Zstandard": b"\x28\xb5\x2f\xfd" + bytes(99),
    "SQLite": b"SQLite format 3\0" + bytes(99),
    "PDF": b"%PDF-1.7\n",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_list_that_is_something_else_is_one_sentence(tmp_path, kind):
    for data in (OTHERS[kind], gzip.compress(OTHERS[kind])):
        with pytest.raises(ConfigError, match=rf"wanted text in .*list.csv, found .*{kind}.*; "):
            read(tmp_path, "list.csv", data)


@pytest.mark.parametrize(
    ("said", "meant"), [("tab", "\t"), ("\\t", "\t"), (";", ";"), (None, None)]
)
def test_a_tab_can_be_said_in_a_command(said, meant):
    assert SourceSettings(separator=said).separator == meant


@pytest.mark.parametrize("said", ['"', "\n", ";;", "", "\0"])
def test_what_cannot_separate_is_refused(said):
    with pytest.raises(ValidationError, match="separator"):
        SourceSettings(separator=said)


@pytest.mark.parametrize("name", ["rot13", "base64", "utf-9"])
def test_what_is_no_encoding_of_text_is_refused(name):
    with pytest.raises(ValidationError, match="must be the name of a text encoding"):
        SourceSettings(encoding=name)
