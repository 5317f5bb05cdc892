"""Which columns of a Parquet list can hold addresses; pictures inside a table are named as such."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from schemas.errors import ConfigError
from tests.stages.test_crawl_lists import job, listed

JPEG = b"\xff\xd8\xff\xe0" + b"x" * 20
STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})
INSIDE = (
    r"pictures lie inside the column '{}'; write them out as files and read them with "
    r"crawl.source.kind=folder"
)


def read(tmp_path, columns, **source):
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    return listed(job(tmp_path / "list.parquet", **source), open_folder(tmp_path / "out"))


PICTURES = {
    "image": pa.array([{"bytes": JPEG, "path": "a.jpg"}], STRUCT),
    "jpg": pa.array([JPEG], pa.binary()),
    "image_bytes": pa.array([JPEG], pa.large_binary()),
    "images": pa.array([[{"bytes": JPEG, "path": None}]], pa.list_(STRUCT)),
    "src": pa.array([JPEG], pa.binary()),  # a usual name of addresses
    "photos": pa.array([[JPEG]], pa.list_(pa.binary())),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("is_set", [False, True])
def test_pictures_inside_a_table_are_one_sentence(tmp_path, name, is_set):
    given = {"url_column": name} if is_set else {}
    with pytest.raises(ConfigError, match=INSIDE.format(name)):
        read(tmp_path, {name: PICTURES[name], "text": ["a"]}, **given)


@pytest.mark.parametrize(
    "columns",
    [
        {"image": PICTURES["image"], "link": ["http://a/"], "text": ["Grüße"]},
        {"url": [b"http://a/"], "caption": ["Grüße".encode()]},  # a writer did not say: texts
    ],
)
def test_addresses_beside_pictures_and_as_bytes_are_read(tmp_path, columns):
    (row,) = read(tmp_path, columns)
    assert (row["url"], row["caption"], row["source"]) == ("http://a/", "Grüße", None)


NO_ADDRESSES = {
    "list": pa.array([["http://a.org/1", "http://a.org/2"]]),
    "struct": pa.array([{"href": "http://a.org/1"}]),
    "map": pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())),
    "bytes": pa.array([b"\xff\xfe"]),
}


@pytest.mark.parametrize("kind", NO_ADDRESSES)
def test_a_column_that_holds_no_text_is_no_url(tmp_path, kind):
    with pytest.raises(
        ConfigError, match=r"wanted texts in the column 'url' of .*, found .*; set .*url_column to"
    ):
        read(tmp_path, {"url": NO_ADDRESSES[kind], "caption": ["a"], "mine": ["http://a.org/"]})


def test_what_holds_no_text_is_not_proposed(tmp_path):
    columns = {"page": ["a"], "faces": [[1]], "box": [{"x": 1}], "md5": [b"\xff"], "text": ["a"]}
    with pytest.raises(ConfigError, match=r"'url' in .*, found \['page', 'text'\]; set"):
        read(tmp_path, columns)
    with pytest.raises(ConfigError, match=r"'caption' in .*, found \['page'\]; set"):
        read(tmp_path, {"url": ["u"], "page": ["x"], "md5": [b"\xff"], "box": [{"x": 1}]})
    with pytest.raises(ConfigError, match=r"found \['link'\]; a list without captions trains noth"):
        read(tmp_path, {"link": ["u"]})
