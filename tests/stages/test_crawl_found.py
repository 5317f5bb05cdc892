"""Which files of a path are lists, however it is written, and what is said of all others."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from schemas.errors import ConfigError
from schemas.settings import CrawlSettings, SourceSettings
from stages import crawl
from stages.crawl.sources import pieces, source_of, surveyed
from stages.crawl.sources.tars import tar_files
from tests.stages.folders import written
from tests.stages.test_crawl_lists import job, listed

CSV = b"url,caption\nu1,one\n"


def parquet(rows=1):
    sink = pa.BufferOutputStream()
    texts = pa.array(["u1"] * rows, pa.string())
    pq.write_table(pa.table({"url": texts, "caption": texts}), sink)
    return sink.getvalue().to_pybytes()


def survey_of(path):
    return source_of(SourceSettings(path=str(path))).found


def names_of(path):
    return [file.rpartition("/")[2] for file in survey_of(path)[0]]


# What lies in a folder -> what is read of it, and how the rest is called.
FOLDERS = {
    "endings in other letters": (["A.CSV", "b.Parquet", "c.JsonL", "d.TSV.GZ"], 4, {}),
    "of Spark": (
        ["_SUCCESS", "._SUCCESS.crc", ".part-0.snappy.parquet.crc", "part-0.snappy.parquet",
         "_temporary/0/part-1.parquet", "_committed_1", "x=1/part-0.c000.gz.parquet"],
        2, {"hidden files": 5},
    ),
    "of Delta": (["_delta_log/0.json", "_delta_log/1.checkpoint.parquet", "part-0.parquet"], 1,
                 {"hidden files": 2}),
    "of editors": ([".ipynb_checkpoints/a.csv", "._a.csv", "a.csv", "~lock.a.csv#", ".~lock.csv"],
                   1, {"hidden files": 3, "files that end in .csv#": 1}),
    "of people": (["a.csv", "README.md", "b.xlsx", "LICENSE"], 1,
                  {"files that end in .md": 1, "files that end in .xlsx": 1,
                   "files without an ending": 1}),
    "of a hub": (["data/train-0.parquet", "dataset_infos.json", "README.md", ".gitattributes"], 1,
                 {"files that end in .json": 1, "files that end in .md": 1, "hidden files": 1}),
    "of JSON alone": (["a.json", "b.json"], 2, {}),
    "packed": (["a.csv.gz", "b.jsonl.bz2", "c.ndjson.xz", "d.csv.zst"], 3,
               {"files that end in .zst": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_what_of_a_folder_is_read_and_what_is_passed_over(tmp_path, name):
    names, found, passed = FOLDERS[name]
    written(tmp_path, dict.fromkeys(names, b"x"))
    files, survey = survey_of(tmp_path)
    assert len(files) == survey.found == found
    assert dict(survey.passed) == passed
    others = sum(passed.values())
    assert survey.sentence("x").startswith(f"found {found} url lists in x")
    assert (f"passed over {others}: " in survey.sentence("x")) == bool(others)


def test_a_file_that_is_named_is_meant(tmp_path):
    written(tmp_path, {"_a.csv": CSV, ".b.csv": CSV, "c.csv": CSV, "d.json": b"[]"})
    for name in ("_a.csv", ".b.csv", "d.json"):
        files, survey = survey_of(tmp_path / name)
        assert [file.rpartition("/")[2] for file in files] == [name]
        assert not survey.passed


NOT_READ = {
    "list.txt": "a list needs captions too, so write a CSV",
    "list.xlsx": "save the table as CSV",
    "list.arrow": "write it as Parquet",
    "list.pq": "give it the ending .parquet",
    "list.csv.zst": "unpack it, or pack it with gzip",
    "list.zip": "unpack it",
    "list": "give the file one of these endings",
    ".list.csv": "found none but 1 hidden ones",
}


@pytest.mark.parametrize("name", NOT_READ)
def test_a_path_without_a_list_is_one_sentence_that_says_what_to_do(tmp_path, name):
    written(tmp_path, {name: b"x"})
    with pytest.raises(ConfigError, match=NOT_READ[name]):
        survey_of(tmp_path)


PLACES = (
    *("a b", "q::r", "a,b", "a, b", "c%20d", "e[1]", "f*g", "h?i", "j{k}", "l~m", "ü", "n#o"),
    "p=q",
)


@pytest.mark.parametrize("place", PLACES)
def test_letters_of_a_path_mean_themselves(tmp_path, place):
    written(tmp_path / place, {"list.csv": CSV, "x.parquet": parquet()})
    for number, path in enumerate((f"{place}/list.csv", f"{place}/x.parquet", place)):
        found = listed(job(tmp_path / path), open_folder(tmp_path / f"out{number}"))
        assert [row["url"] for row in found] == ["u1"] * (2 if path == place else 1)
    assert crawl.outside(job(tmp_path / place))


MEANT = {
    "TOP/a,b.csv,TOP/c.csv": "a,b.csv c.csv",
    "TOP/c.csv , TOP/a,b.csv": "c.csv a,b.csv",
    "TOP/{d,c}.*": "d.tsv c.csv",
    "TOP/[cd].*": "c.csv d.tsv",
    "TOP/{c.csv,d.tsv}": "c.csv d.tsv",
    "TOP/n-{008..010}.csv,TOP/c.csv": "n-008.csv n-009.csv n-010.csv c.csv",
    # as WebDataset joins them
    "TOP/a.csv::TOP/b.csv": "a.csv b.csv",
    "TOP/{a,b}.csv::TOP/[c].csv": "a.csv b.csv c.csv",
    "file://TOP/a.csv::file://TOP/b.csv": "a.csv b.csv",
    "TOP/d::e.csv::TOP/a.csv": "d::e.csv a.csv",
}


def test_several_paths_with_commas_in_their_names_and_braces(tmp_path):
    names = ["a,b", "c", "a", "b", "d::e", *(f"n-{n:03d}" for n in range(8, 11))]
    written(
        tmp_path, {f"{name}.csv": CSV for name in names} | {"d.tsv": b"url\tcaption\nu1\tone\n"}
    )
    for path, names in MEANT.items():
        assert names_of(path.replace("TOP", str(tmp_path))) == names.split(), path
    for path in ("", ",", "TOP/c.csv,", "TOP/{c", "TOP/n-{008..011}.csv", "TOP/a.csv::TOP/z.csv"):
        with pytest.raises(ConfigError, match="found nothing at"):
            survey_of(path.replace("TOP", str(tmp_path)))


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    written(tmp_path, {"lists/a.csv": CSV})
    assert len(survey_of("~/lists")[0]) == len(survey_of("~/lists/*.csv")[0]) == 1


def test_a_list_that_is_a_folder_is_all_its_parts(tmp_path):
    written(tmp_path, {
        "x.parquet/part-0.parquet": parquet(2), "x.parquet/_SUCCESS": b"",
        "y.csv/part-0.csv": CSV, "y.csv/part-1.csv": CSV,
    })  # fmt: skip
    for number, (path, rows) in enumerate({"x.parquet": 2, "y.csv": 2, "*.csv": 2, "": 4}.items()):
        out = open_folder(tmp_path.parent / f"{tmp_path.name}{number}")
        assert len(listed(job(tmp_path / path), out)) == rows


def test_what_is_read_is_said_once_and_stays_for_the_manifest(tmp_path, caplog):
    caplog.set_level("INFO")
    written(tmp_path / "in", {"a.csv": CSV, "b.csv": b"url,caption\n", "notes.md": b"x"})
    written(tmp_path / "pq", {"a.parquet": parquet(), "b.parquet": parquet(0), "_SUCCESS": b""})
    for folder, passed in (
        ("in", {"files that end in .md": 1, "lists without rows": 1}),
        ("pq", {"hidden files": 1, "lists without rows": 1}),
    ):
        out = open_folder(tmp_path / f"out {folder}")
        caplog.clear()
        for _ in range(2):  # the second is a run that goes on
            pieces(job(tmp_path / folder), out)
        said = [
            record.message for record in caplog.records if "found 1 url lists" in record.message
        ]
        assert len(said) == 1
        assert surveyed(out) == {"source": {"found": 1, "passed_over": passed}}


def test_lists_that_name_their_columns_in_different_ways_are_one_source(tmp_path):
    written(tmp_path, {
        "a.csv": "sep=;\nURL;TEXT\nu1;one\n".encode("utf-16"),
        "b.jsonl": json.dumps({"image_url": "u2", "alt": "two"}).encode(),
        "c.tsv": gzip.compress(b"url|caption\nu3|three\n"),
        "d.json": b"{}",
    })  # fmt: skip
    out = open_folder(tmp_path.parent / f"{tmp_path.name}-out")
    found = listed(CrawlSettings(side=8, source=SourceSettings(path=str(tmp_path))), out)
    assert [(r["url"], r["caption"]) for r in found] == [
        ("u1", "one"),
        ("u2", "two"),
        ("u3", "three"),
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl.gz", "a.tar"])
def test_a_link_to_nowhere_is_one_sentence(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / "gone")
    kind = "tars" if name == "a.tar" else "urls"
    written(tmp_path, {"b.csv": CSV} if kind == "urls" else {"b.tar": b""})
    cfg = CrawlSettings(side=8, source=SourceSettings(kind=kind, path=str(tmp_path)))
    with pytest.raises(ConfigError, match=rf"wanted to read .*{name}, found No such file"):
        pieces(cfg, open_folder(tmp_path.parent / f"{tmp_path.name}-out"))


@pytest.mark.parametrize("kind", ["urls", "tars", "folder"])
@pytest.mark.parametrize("path", ["hf://x/y", "https://127.0.0.1:9/a", "foo://x", "foo://{a,b}"])
def test_a_storage_that_cannot_be_reached_is_one_sentence(kind, path):
    cfg = CrawlSettings(side=8, source=SourceSettings(kind=kind, path=path))
    with pytest.raises(ConfigError, match=r"wanted to look into '.*' of crawl.source.path, found"):
        crawl.outside(cfg)


def test_an_earlier_crawl_that_cannot_be_reached_is_one_sentence():
    with pytest.raises(ConfigError, match=r"of crawl.earlier, found ValueError"):
        crawl.outside(CrawlSettings(side=8, earlier="foo://x"))


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("tars", ".x/a.tar", r"rename it, or its folder, so that no name begins with \."),
        ("urls", "_x/a.csv", r"rename it, or its folder, so that no name begins with \. or _"),
    ],
)
def test_a_source_whose_every_name_is_hidden_is_said(tmp_path, kind, name, said):
    written(tmp_path, {name: b"x"})
    cfg = CrawlSettings(side=8, source=SourceSettings(kind=kind, path=str(tmp_path)))
    with pytest.raises(ConfigError, match=said):
        crawl.outside(cfg)


TWICE = "files that are read under another name"


@pytest.mark.parametrize(
    "path",
    ["a.csv,./a.csv", "a.csv,.//a.csv", "a.csv::../d/a.csv", "a.csv,b.csv", "[ab].csv", "{b,a}.csv",
     "../e/a.csv,a.csv", "a.csv,c/../a.csv", ".", ".,a.csv", ".,../e"],
)  # fmt: skip
def test_a_list_under_several_names_is_read_once(tmp_path, path):
    written(tmp_path, {"d/a.csv": CSV, "d/c/note": b""})
    (tmp_path / "d/b.csv").symlink_to("a.csv")
    (tmp_path / "e").symlink_to("d")
    joint = "::" if "::" in path else ","
    parts = path.split(joint) if "{" not in path else [path]
    whole = joint.join(f"{tmp_path}/d/{part}" for part in parts)
    files, survey = survey_of(whole)
    assert len(files) == survey.found == 1
    assert [row["url"] for row in listed(job(whole), open_folder(tmp_path / "out"))] == ["u1"]


def test_a_link_to_what_is_read_is_said_and_one_to_what_is_hidden_is_read(tmp_path):
    written(tmp_path, {"a.csv": CSV, ".data/b.csv": CSV, "blobs/0123": CSV, "d.csv": CSV})
    for name, target in {"b.csv": ".data/b.csv", "c.csv": "blobs/0123", "e.csv": "d.csv"}.items():
        (tmp_path / name).symlink_to(target)
    files, survey = survey_of(tmp_path)
    assert [file.rpartition("/")[2] for file in files] == ["a.csv", "b.csv", "c.csv", "d.csv"]
    assert survey.passed == {TWICE: 1, "hidden files": 1, "files without an ending": 1}
    assert survey.examples[TWICE] == ["e.csv"]


def test_a_tar_under_two_names_is_read_once(tmp_path):
    written(tmp_path, {"0.tar": b"x", "1.tar": b"x"})
    (tmp_path / "2.tar").symlink_to(tmp_path / "0.tar")
    for path in (tmp_path, f"{tmp_path}/*.tar", f"{tmp_path}/2.tar,{tmp_path}/1.tar,{tmp_path}"):
        found, survey = tar_files(SourceSettings(kind="tars", path=str(path)))
        assert (len(found), survey.found, survey.passed[TWICE]) == (2, 2, 1)
