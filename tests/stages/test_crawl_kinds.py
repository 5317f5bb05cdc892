"""A source of another kind than the one that is set: its sentence names the kind to set."""

import pytest

from infra.store import open_folder
from schemas.errors import ConfigError
from schemas.settings import CrawlSettings, SourceSettings
from stages.crawl.sources import pieces
from tests.stages.folders import written

PICTURES, TARS, LISTS = (
    f"for the {what} there set crawl.source.kind={kind}"
    for what, kind in (("pictures", "folder"), ("tars", "tars"), ("lists", "urls"))
)
TEXTS = (
    "if the texts there are lists of addresses, write a CSV with the columns url and caption, and "
    "set crawl.source.kind=urls"
)
# What lies there -> what is said under each kind that does not read it.
OTHERS = [
    ("a.jpg b.PNG", PICTURES, ("tars", "urls")),
    ("x/y/a.heic", PICTURES, ("tars", "urls")),
    ("a.jpg_large", PICTURES, ("tars", "urls")),
    ("a.jpg a.txt 0.tar", PICTURES, ("urls",)),
    ("0.tar 1.tar", TARS, ("folder", "urls")),
    ("0.TAR", TARS, ("folder", "urls")),
    ("0.tar.gz", TARS, ("folder", "urls")),
    ("0.tar.zst", TARS, ("folder", "urls")),
    ("0.tgz", TARS, ("folder", "urls")),
    ("0.txz", TARS, ("folder", "urls")),
    ("0.tar 0.parquet 0_stats.json", TARS, ("folder",)),
    ("a.csv", LISTS, ("folder", "tars")),
    ("a.tsv.gz", LISTS, ("folder", "tars")),
    ("a.jsonl b.ndjson", LISTS, ("folder", "tars")),
    ("a.json", LISTS, ("folder", "tars")),
    ("a.parquet b.parquet", LISTS, ("folder", "tars")),
    ("a.csv README.md", LISTS, ("folder", "tars")),
    ("captions.parquet", LISTS, ("folder", "tars")),
    ("metadata.csv", LISTS, ("tars",)),
    ("urls.txt", TEXTS, ("folder", "tars")),
    ("part-0.txt part-1.txt", TEXTS, ("folder", "tars")),
]


def said(path, kind, out):
    source = SourceSettings(kind=kind, path=str(path))
    with pytest.raises(ConfigError) as error:
        pieces(CrawlSettings(side=8, source=source), open_folder(out))
    return str(error.value)


@pytest.mark.parametrize(("names", "sentence", "kinds"), OTHERS)
def test_a_folder_a_file_and_a_glob_of_another_kind(tmp_path, names, sentence, kinds):
    top = tmp_path / "source"
    written(top, dict.fromkeys(names.split(), b"x"))
    first = top / names.split()[0]
    for kind in kinds:
        for path in (top, first, f"{first.parent}/*{''.join(first.suffixes)}"):
            assert said(path, kind, tmp_path / "out").endswith(f"; {sentence}")


@pytest.mark.parametrize("names", ["", "README.md", "a.zip"])
def test_what_no_kind_reads_names_none(tmp_path, names):
    written(tmp_path, dict.fromkeys(names.split(), b"x"))
    for kind in ("folder", "urls"):
        assert "crawl.source.kind" not in said(tmp_path, kind, tmp_path / "out")


TABLES = [
    ("folder", "metadata.csv", b"url,caption\nhttp://a.org/1.jpg,x\n", "a.txt",
     "or crawl.source.kind=urls if these are addresses of pictures"),
    ("urls", "metadata.csv", b"file_name,text\na.jpg,x\n", "a.jpg",
     "or crawl.source.kind=folder if these are names of pictures"),
    ("urls", "captions.jsonl", b'{"image": "a.jpg", "caption": "x"}\n', "a.jpg",
     "or crawl.source.kind=folder if these are names of pictures"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "table", "beside", "sentence"), TABLES)
def test_columns_of_another_kind(tmp_path, kind, name, table, beside, sentence):
    written(tmp_path, {name: table, beside: b"x"})
    assert sentence in said(tmp_path, kind, tmp_path / "out")
