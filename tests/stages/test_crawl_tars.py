"""Tars: a row for every sample, wherever in the tar its files and the links to them are."""

import json
import tarfile

import pytest

from infra.store import open_folder
from schemas.errors import ConfigError
from schemas.settings import CrawlSettings, SourceSettings
from stages import crawl
from stages.crawl.reasons import Refused
from stages.crawl.sources import tar_members
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.tars import TarReader, Tars
from tests import s3
from tests.stages.finished import NOTHING
from tests.stages.folders import tar, written
from tests.stages.test_crawl import picture, read_all
from tests.stages.test_crawl_lists import listed


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def source(path):
    return SourceSettings(kind="tars", path=str(path))


def rows_in(path, survey=None):
    return list(Tars(source(path)).rows(survey or Survey("tars")))


def rows_of(tmp_path, data):
    (tmp_path / "a.tar").write_bytes(data)
    return rows_in(tmp_path / "a.tar")


def shown(row):
    return row["problem"] or row["url"]


LONG = "a/" * 90 + "n" * 150  # neither fits into a header


@pytest.mark.parametrize(
    "tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]
)
def test_files_of_one_name_are_one_sample_wherever_they_are(tmp_path, tar_format):
    long = LONG if tar_format != tarfile.USTAR_FORMAT else "a/" * 60 + "n" * 90
    files = [
        special("d", tarfile.DIRTYPE),
        ("d/000.JPG", b"one"),
        ("d/001.txt", b"two's caption"),
        ("e/000.png", b"three"),
        ("d/000.txt", b"one's caption"),
        ("d/001.webp", b"two"),
        ("d/000.cls", b"7"),
        (f"{long}ü.json", b"{}"),
        (f"{long}ü.jpeg", b"four" * 999),
        ("d/000.jpg", b"another one"),
        ("README", b"no sample"),
    ]
    rows = rows_of(tmp_path, tar(files, tar_format))
    assert [shown(row) for row in rows] == [
        "a.tar/d/000.JPG",
        "a.tar/d/001.webp",
        "a.tar/e/000.png",
        f"a.tar/{long}ü.jpeg",
        "a.tar/d/000.jpg",
    ]
    content = dict(files[1:])
    reader = TarReader(10_000)
    for row in rows[:5]:
        assert reader.read(row["picture"]) == content[row["url"].removeprefix("a.tar/")]
    assert reader.read(rows[0]["text_files"][0]) == b"one's caption"
    assert reader.read(rows[3]["json_files"][0]) == b"{}"
    assert rows[4]["text_files"] is None
    with pytest.raises(Refused, match="too_large: 3996 bytes"):
        TarReader(3_995).read(rows[3]["picture"])


SYMBOLIC, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def test_links_out_of_a_tar_and_devices_are_rows_and_are_not_followed(tmp_path):
    files = [
        special("a.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        special("b.jpg", tarfile.LNKTYPE, "../../secret"),
        special("c.png", tarfile.CHRTYPE),
        ("d.jpg", b"good"),
        special("d.txt", tarfile.SYMTYPE, "/etc/passwd"),
        ("../../../etc/e.jpg", b"a name is only a label"),
        ("/etc/f.jpg", b"so is this"),
    ]
    rows = rows_of(tmp_path, tar(files))
    assert [row["problem"] for row in rows[:4]] == [
        "missing_file: c.png is a device or pipe, not a file",
        "link_outside: d.txt is a link to /etc/passwd, no file of the tar",
        None,
        None,
    ]
    assert [row["problem"] for row in rows[4:]] == [
        "link_outside: a.jpg is a link to /etc/passwd, no file of the tar",
        "link_outside: b.jpg is a link to ../../secret, no file of the tar",
    ]
    assert [row["url"] for row in rows[2:4]] == ["a.tar/../../../etc/e.jpg", "a.tar//etc/f.jpg"]
    assert TarReader(99).read(rows[2]["picture"]) == b"a name is only a label"


@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize(
    ("kind", "name", "target"),
    [
        (SYMBOLIC, "b.jpg", "a.jpg"),
        (SYMBOLIC, "b.jpg", "./x/../a.jpg"),
        (SYMBOLIC, "x/b.jpg", "../a.jpg"),
        (SYMBOLIC, "./x//b.jpg", "..//./a.jpg"),
        (SYMBOLIC, "b.jpg", "x/.hidden"),
        (SYMBOLIC, "b.jpg", f"{LONG}.jpg"),
        (SYMBOLIC, "b", "a.jpg"),  # known by the first bytes of what it leads to
        (HARD, "b.jpg", "a.jpg"),
        (HARD, "x/b.jpg", "./a.jpg"),
        (HARD, "b.jpg", f"{LONG}.jpg"),
    ],
)
def test_a_link_to_a_file_of_the_tar_is_that_file(tmp_path, tar_format, kind, name, target):
    """Wherever the file is in the tar, before the link or behind it."""
    data = b"\xff\xd8\xff\xe0 what is meant"
    files = [(one, data) for one in ("a.jpg", "x/.hidden", f"{LONG}.jpg")]
    link = special(name, kind, target)
    for order in ([*files, link], [link, *files]):
        rows = {row["url"]: row for row in rows_of(tmp_path, tar(order, tar_format))}
        row = rows[f"a.tar/{'x/' * ('x/' in name)}{name.rpartition('/')[2]}"]
        assert row["problem"] is None
        assert TarReader(99).read(row["picture"]) == data


def test_links_to_links_and_captions_that_are_links(tmp_path):
    files = [
        special("c.jpg", SYMBOLIC, "b.jpg"),
        special("c.txt", SYMBOLIC, "words/one.text"),
        special("b.jpg", HARD, "a.jpg"),
        ("a.jpg", b"picture"),
        ("words/one.text", b"words"),
        special("b.txt", SYMBOLIC, "c.txt"),
        special("d.jpg", SYMBOLIC, "e.jpg"),
        special("e.jpg", SYMBOLIC, "d.jpg"),
        special("f.jpg", SYMBOLIC, "words"),
        special("g.jpg", SYMBOLIC, ""),
    ]
    rows = {row["url"]: row for row in rows_of(tmp_path, tar(files))}
    for name in ("b", "c"):
        row = rows[f"a.tar/{name}.jpg"]
        assert TarReader(99).read(row["picture"]) == b"picture"
        assert TarReader(99).read(row["text_files"][0]) == b"words"
    assert [row["problem"] for row in rows.values() if row["problem"]] == [
        "missing_file: no picture for one.text",
        "link_outside: d.jpg is a link to e.jpg, no file of the tar",
        "link_outside: e.jpg is a link to d.jpg, no file of the tar",
        "link_outside: f.jpg is a link to words, no file of the tar",
        "link_outside: g.jpg is a link to , no file of the tar",
    ]


def test_a_link_is_a_row_of_a_damaged_tar_and_of_one_with_many_links(tmp_path, monkeypatch):
    link = special("b.jpg", SYMBOLIC, "a.jpg")
    rows = rows_of(tmp_path, tar([link, ("c.jpg", b"x"), ("a.jpg", b"x" * 999)])[: 5 * 512 + 9])
    no_file = "link_outside: b.jpg is a link to a.jpg, no file of the tar"
    assert [row["problem"] for row in rows][:2] == [None, no_file]
    assert rows[2]["problem"].startswith("unreadable_row: damaged: the rest of a.tar")
    monkeypatch.setattr(tar_members, "MAX_NAMES", 2)
    others = [special(f"{n}.jpg", SYMBOLIC, f"{n}.none") for n in range(3)]
    rows = rows_of(tmp_path, tar([link, *others, ("a.jpg", b"x")]))
    assert sorted(row["url"] for row in rows if row["problem"]) == [
        "a.tar/0.jpg", "a.tar/1.jpg", "a.tar/2.jpg", "a.tar/b.jpg"
    ]  # fmt: skip


def test_a_name_that_begins_like_another_kind_of_file_is_a_name(tmp_path):
    assert len(rows_of(tmp_path, tar([("BZhang.jpg", b"x")]))) == 1


def test_dots_and_slashes_in_names_change_no_place(tmp_path):
    rows = rows_of(tmp_path, tar([("././2.jpg", b"x"), ("a//1.jpg", b"x"), ("a/./1.txt", b"x")]))
    assert [row["url"] for row in rows] == ["a.tar/2.jpg", "a.tar/a/1.jpg"]
    assert rows[1]["text_files"]


def test_tars_of_a_folder_a_glob_and_an_object_store(tmp_path):
    for name in ("x/0.tar", "y/0.tar", "y/notes.txt"):
        written(tmp_path, {name: tar([("p.jpg", name.encode())])})
    for path in (tmp_path, tmp_path / "*" / "0.tar"):
        rows = rows_in(path)
        assert [row["url"] for row in rows] == ["x/0.tar/p.jpg", "y/0.tar/p.jpg"]
        assert [TarReader(99).read(row["picture"]) for row in rows] == [b"x/0.tar", b"y/0.tar"]
    before = crawl.outside(CrawlSettings(side=8, source=source(tmp_path)))
    (tmp_path / "y/0.tar").write_bytes(tar([("p.jpg", b"y/1.tar")]))
    assert crawl.outside(CrawlSettings(side=8, source=source(tmp_path))) != before
    with s3.served("tars") as top:
        folder = open_folder(top)
        folder.commit("in/0.tar", tar([("p.jpg", b"picture"), ("p.txt", b"words")]))
        [row] = rows_in(f"{top}/in")
        assert row["url"] == "0.tar/p.jpg"
        assert TarReader(99).read(row["picture"]) == b"picture"
        assert TarReader(99).read(row["text_files"][0]) == b"words"
        with pytest.raises(ConfigError, match=r"wanted a tar at crawl\.source\.path"):
            rows_in(f"{top}/else")


def test_the_pieces_of_tars_are_the_tars(tmp_path):
    whole = tar([(f"{n:03d}.jpg", b"x") for n in range(7)])
    written(tmp_path, {f"{number}.tar": whole for number in range(3)})
    cfg = CrawlSettings(side=8, rows_per_shard=5, source=source(tmp_path))
    found = listed(cfg, open_folder(tmp_path / "out"))
    assert [row["url"] for row in found] == [
        f"{t}.tar/{n:03d}.jpg" for t in range(3) for n in range(7)
    ]


@pytest.mark.ray
def test_a_crawl_of_tars(ray_cluster, tmp_path):
    files = [
        ("0.png", picture(80, 90)),
        ("0.txt", b"a caption\nand another\n"),
        ("0.json", json.dumps({"url": "http://a.org/0", "caption": "unused"}).encode()),
        ("1.jpg", picture(80, 80, "JPEG")),
        ("1.json", json.dumps({"captions": ["one", "uno"], "licence": "free"}).encode()),
        ("2.jpg", picture(80, 80, "JPEG")[:300]),
        ("2.txt", b"half a picture"),
        ("3.txt", b"no picture"),
        ("4.jpg", picture(80, 80, "JPEG")),
        ("4.json", b"{no json"),
        ("5.jpg", picture(80, 80, "JPEG") + bytes(50_000)),
        ("6.webp", picture(80, 80, "WEBP")),
        ("6.txt", b"\xff no utf-8"),
    ]
    other = tar([("0.jpg", picture(90, 80, "JPEG"))])
    written(tmp_path / "in", {"0.tar": tar(files), "1.tar": other})
    of_lines = source(tmp_path / "in").model_copy(update={"caption": "each_line"})
    out = open_folder(tmp_path / "out")
    cfg = CrawlSettings(side=64, rows_per_shard=4, max_bytes=40_000, source=of_lines)
    result = crawl.run(NOTHING, out, cfg)
    rows = read_all(out)
    short = [(row["key"], row["url"], row["caption"], row["reason"]) for row in rows]
    assert short == [
        ("00000-000000", "0.tar/0.png", "a caption", None),
        ("00000-000000.1", "0.tar/0.png", "and another", None),
        ("00000-000001", "0.tar/1.jpg", "one", None),
        ("00000-000001.1", "0.tar/1.jpg", "uno", None),
        ("00000-000002", "0.tar/2.jpg", "half a picture", "truncated"),
        ("00000-000003", "0.tar/3.txt", None, "missing_file"),
        ("00001-000000", "0.tar/4.jpg", None, "unreadable_row"),
        ("00001-000001", "0.tar/5.jpg", None, "too_large"),
        ("00001-000002", "0.tar/6.webp", None, "unreadable_row"),
        ("00001-000003", "1.tar/0.jpg", None, None),
    ]
    assert rows[0]["sha256"] == rows[1]["sha256"]
    assert json.loads(rows[0]["source"]) == {"url": "http://a.org/0", "caption": "unused"}
    assert json.loads(rows[3]["source"]) == {"licence": "free"}
    assert (result.rows_in, result.rows_out) == (10, 5)
