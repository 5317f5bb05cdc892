"""JSON lists by columns or by keys, as pandas and others write them."""

import json

import pytest

from schemas.errors import ConfigError
from tests.stages.test_crawl_lists import read

GOOD = [("http://a.org/1", "one"), ("http://a.org/2", "two")]
URLS, CAPTIONS = map(list, zip(*GOOD, strict=True))
TABLES = {
    "pandas": {"url": {"0": URLS[0], "1": URLS[1]}, "caption": {"1": "two", "0": "one"}},
    "lists": {"url": URLS, "caption": CAPTIONS},
    "lists beside other things": {"version": 1, "url": URLS, "caption": CAPTIONS},
    "usual names": {"image_url": URLS, "text": CAPTIONS, "id": [1, 2]},
    "keys": {"1": {"url": URLS[0], "caption": "one"}, "2": {"url": URLS[1], "caption": "two"}},
    "addresses": dict(GOOD),
    "addresses and objects": {url: {"caption": caption} for url, caption in GOOD},
    "split": {"columns": ["url", "caption"], "index": [0, 1], "data": [[*row] for row in GOOD]},
    "pandas' table": {"schema": {"fields": []}, "data": [
        {"index": at, "url": url, "caption": caption} for at, (url, caption) in enumerate(GOOD)
    ]},
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("indent", [None, 1])
def test_tables_in_one_object_are_read(tmp_path, name, indent):
    assert read(tmp_path, "list.json", json.dumps(TABLES[name], indent=indent).encode()) == (
        GOOD,
        [],
    )


def test_other_columns_and_captions_stay_with_their_rows(tmp_path):
    value = {"url": {"a": "u1", "b": "u2"}, "caption": {"b": ["one", "two"]}}
    assert read(tmp_path, "list.json", json.dumps(value).encode()) == (
        [("u1", None), ("u2", "one")],
        [],
    )
    one = {"url": "http://a.org/1", "caption": ["one", "uno"]}  # a row, and no columns
    assert read(tmp_path / "r", "list.json", json.dumps(one).encode()) == ([GOOD[0]], [])
    named = {"image_urls": URLS, "captions": CAPTIONS}
    data = json.dumps(named).encode()
    assert read(tmp_path / "n", "list.json", data, url_column="image_urls") == (GOOD, [])
    with pytest.raises(ConfigError, match=r"found \['image_urls', 'captions'\]"):
        read(tmp_path / "s", "list.json", data)


@pytest.mark.parametrize("indent", [None, 1])
def test_columns_of_different_lengths_are_one_sentence(tmp_path, indent):
    value = {"url": URLS, "caption": ["one"]}
    with pytest.raises(
        ConfigError, match=r"wanted one list of objects in list.json, found columns"
    ):
        read(tmp_path, "list.json", json.dumps(value, indent=indent).encode())


def test_an_address_that_is_no_text_is_a_row_that_says_so(tmp_path):
    data = b'{"url": ["u"], "caption": "a"}\n{"url": {"href": "u"}, "caption": "b"}\n'
    good, problems = read(tmp_path, "list.jsonl", data)
    assert good == []
    assert [p.partition("a url that is no text: ")[2] for p in problems] == [
        "['u']",
        "{'href': 'u'}",
    ]
