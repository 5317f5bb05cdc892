"""Which files of a tar are one sample, and which tars are refused: names as people give them."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from infra.store import open_folder
from schemas.errors import ConfigError
from schemas.settings import CrawlSettings
from stages.crawl.sources import pieces
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.tars import TarReader
from tests.stages.folders import tar, written
from tests.stages.test_crawl import picture
from tests.stages.test_crawl_tars import rows_in, source

# The members of a tar, in order -> its rows: the picture, and its text and JSON or None.
SAMPLES = {
    "plain": ("0001.jpg 0001.txt", "0001.jpg 0001.txt"),
    "dots": ("cat.2020.jpg cat.2021.jpg", "cat.2020.jpg; cat.2021.jpg"),
    "dots with captions": (
        "cat.2020.jpg cat.2020.txt cat.2021.jpg cat.2021.txt",
        "cat.2020.jpg cat.2020.txt; cat.2021.jpg cat.2021.txt",
    ),
    "dots, and one caption is gone": (
        "cat.2020.jpg cat.2021.jpg cat.2021.txt",
        "cat.2020.jpg; cat.2021.jpg cat.2021.txt",
    ),
    "versions": ("v1.2.png v1.2.json v1.3.png", "v1.2.png - v1.2.json; v1.3.png"),
    "an image's own kind of caption": ("0001.jpg 0001.caption.txt", "0001.jpg 0001.caption.txt"),
    "a pair": (
        "0001.input.png 0001.output.png 0001.txt",
        "0001.input.png 0001.txt; 0001.output.png 0001.txt",
    ),
    "a pair, and JSON first": (
        "0001.json 0001.left.jpg 0001.right.jpg",
        "0001.left.jpg - 0001.json; 0001.right.jpg - 0001.json",
    ),
    "a pair with a named caption": (
        "0001.left.jpg 0001.right.jpg 0001.caption.txt",
        "0001.left.jpg 0001.caption.txt; 0001.right.jpg 0001.caption.txt",
    ),
    "a map beside a picture": (
        "0001.jpg 0001.depth.png 0001.txt",
        "0001.jpg 0001.txt; 0001.depth.png",
    ),
    "the ending kept": ("a.jpg a.jpg.txt b.png b.png.json", "a.jpg a.jpg.txt; b.png - b.png.json"),
    "upper case": ("0001.JPG 0001.TXT 0002.Jpeg", "0001.JPG 0001.TXT; 0002.Jpeg"),
    "this folder": ("./0001.jpg ./0001.txt", "0001.jpg 0001.txt"),
    "folders with dots": ("v1.0/1.jpg v1.0/1.txt v1.1/1.jpg", "v1.0/1.jpg v1.0/1.txt; v1.1/1.jpg"),
    "caption endings": ("a.jpg a.caption b.jpg b.tags", "a.jpg a.caption; b.jpg b.tags"),
    "text before captions of other endings": ("a.jpg a.caption a.txt", "a.jpg a.txt"),
    "classes": ("a.jpg a.cls a.npy a.txt", "a.jpg a.txt"),
    "two forms": ("a.jpg a.png a.txt", "a.jpg a.txt; a.png a.txt"),
    "captions first": ("a.txt b.txt b.jpg a.jpg", "a.jpg a.txt; b.jpg b.txt"),
    "the same again": ("a.jpg a.txt a.jpg", "a.jpg a.txt; a.jpg"),
    "hidden": ("a.jpg ._a.jpg .b.jpg __MACOSX/a.jpg .git/c.jpg", "a.jpg"),
    "documents": ("README.md LICENSE.txt a.jpg", "a.jpg"),
    "numbers with dots": ("img.000001.jpg img.000002.jpg img.000002.txt",
                          "img.000001.jpg; img.000002.jpg img.000002.txt"),
    "of a site": ("www.a.org.1.jpg www.a.org.1.txt www.b.org.1.jpg",
                  "www.a.org.1.jpg www.a.org.1.txt; www.b.org.1.jpg"),
    "a tail": ("a.jpg_large a.txt", "a.jpg_large a.txt"),
}  # fmt: skip


def read(tmp_path, names, content=b"x"):
    (tmp_path / "a.tar").write_bytes(tar([(name, content) for name in names.split()]))
    survey = Survey("tars")
    return rows_in(tmp_path / "a.tar", survey), survey


def place_names(tmp_path):
    """Return the names of members by the places that rows give."""
    import tarfile

    with tarfile.open(tmp_path / "a.tar") as archive:
        return {
            f"{(tmp_path / 'a.tar').as_uri()}:{m.offset_data}:{m.size}": m.name.removeprefix("./")
            for m in archive
        }


@pytest.mark.parametrize("name", SAMPLES)
def test_every_picture_is_a_row_with_its_own_captions(tmp_path, name):
    names, expected = SAMPLES[name]
    rows, _ = read(tmp_path, names)
    at = place_names(tmp_path)
    found = []
    for row in rows:
        assert row["problem"] is None
        assert row["url"] == f"a.tar/{at[row['picture']]}"
        first = [(row[column] or [None])[0] for column in ("text_files", "json_files")]
        parts = [at.get(file, "-") for file in (row["picture"], *first)]
        found.append(" ".join(parts).rstrip("- "))
    assert "; ".join(found) == expected


def test_a_caption_without_its_picture_is_a_row(tmp_path):
    rows, _ = read(tmp_path, "cat.2020.jpg cat.2022.txt 7.json")
    assert [row["problem"] for row in rows] == [
        None,
        "missing_file: no picture for cat.2022.txt",
        "missing_file: no picture for 7.json",
    ]
    rows, _ = read(tmp_path, "1.mp4 1.txt")
    assert [row["problem"] for row in rows] == ["missing_file: no picture for 1.txt"]


def test_a_picture_is_known_by_its_bytes_where_its_name_says_nothing(tmp_path):
    rows, survey = read(tmp_path, "0001 0001.txt 0002.bin", picture(8, 8))
    assert [row["url"] for row in rows] == ["a.tar/0001", "a.tar/0002.bin"]
    assert rows[0]["text_files"] is not None
    assert not survey.passed
    rows, survey = read(tmp_path, "0001 0001.txt 0002.bin a.jpg", b"no picture")
    assert [row["url"] for row in rows] == ["a.tar/0001.txt", "a.tar/a.jpg"]


def test_what_is_passed_over_in_tars_and_beside_them_is_counted(tmp_path):
    files = "a.jpg a.caption a.txt a.cls ._a.jpg README.md metadata.csv inner.tar"
    others = dict.fromkeys((".hidden.tar", "index.idx", "notes.md"), b"x")
    whole = tar([(name, b"x") for name in files.split()])
    written(tmp_path / "in", others | {"deep/b.tar": tar([]), "c.tar": b"", "a.tar": whole})
    survey = Survey("tars")
    rows = rows_in(tmp_path / "in", survey)
    assert [row["url"] for row in rows] == ["a.tar/a.jpg"]
    sentence = survey.sentence("x")
    assert sentence.startswith("found 1 tars in x, passed over 11: ")
    for part in (
        "1 hidden files (.hidden.tar)",
        "2 tars without pictures and captions (c.tar, deep/b.tar)",
        "1 files that end in .idx (index.idx)",
        "1 captions of pictures that have a better one (a.tar/a.caption)",
        "1 files of other kinds (a.cls)",
        "inner.tar",
        "metadata.csv",
    ):
        assert part in sentence, sentence


def zipped():
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("a.jpg", b"x")
    return whole.getvalue()


PLAIN = tar([("a.jpg", b"x")])
PACKED = {
    "1.tar.gz": (gzip.compress(PLAIN), "gzip"),
    "1.tgz": (b"", "gzip"),
    "1.TAR.GZ": (gzip.compress(PLAIN), "gzip"),
    "1.tar.bz2": (bz2.compress(PLAIN), "bzip2"),
    "1.tbz2": (bz2.compress(PLAIN), "bzip2"),
    "1.tar.xz": (lzma.compress(PLAIN), "xz"),
    "1.txz": (lzma.compress(PLAIN), "xz"),
    "1.tar.zst": (b"\x28\xb5\x2f\xfd" + bytes(99), "Zstandard"),
    "1.tar.lz4": (b"\x04\x22\x4d\x18" + bytes(99), "lz4"),
    "1.zip": (zipped(), "zip"),
    "1.7z": (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    "1.tar": (gzip.compress(PLAIN), "gzip"),
    "2.tar": (bz2.compress(PLAIN), "bzip2"),
    "3.tar": (lzma.compress(PLAIN), "xz"),
    "4.tar": (b"\x28\xb5\x2f\xfd" + bytes(99), "Zstandard"),
    "5.tar": (zipped(), "zip"),
    "6.tar": (b"Rar!\x1a\x07\x01\0", "rar"),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_tar_is_one_sentence_that_says_how_to_unpack_it(tmp_path, name):
    data, packer = PACKED[name]
    written(tmp_path, {"0.tar": PLAIN, name: data})
    cfg = CrawlSettings(side=8, source=source(tmp_path))
    with pytest.raises(ConfigError, match=rf"found 1 packed: {name} \({packer}\).*unpack.*{name}"):
        pieces(cfg, open_folder(tmp_path / "out"))
    good = CrawlSettings(side=8, source=source(tmp_path / "0.tar"))
    assert len(pieces(good, open_folder(tmp_path / "good"))) == 1


def test_other_packed_files_beside_tars_are_passed_over(tmp_path):
    written(tmp_path, {"0.tar": PLAIN, "captions.csv.gz": gzip.compress(b"x")})
    survey = Survey("tars")
    assert len(rows_in(tmp_path, survey)) == 1
    assert survey.counts() == {"found": 1, "passed_over": {"files that end in .gz": 1}}


def test_tars_of_equal_names_have_labels_of_their_own(tmp_path):
    folders = ["a, b", "c%20d", "e [1]"]
    written(tmp_path, {f"{f}/0.tar": tar([("p.jpg", f.encode())]) for f in folders})
    rows = rows_in(tmp_path)
    assert [row["url"] for row in rows] == [f"{folder}/0.tar/p.jpg" for folder in folders]
    assert [TarReader(99).read(row["picture"]).decode() for row in rows] == folders
    for folder in folders:
        [row] = rows_in(tmp_path / folder / "0.tar")
        assert TarReader(99).read(row["picture"]) == folder.encode()


def test_a_source_of_nothing_is_one_sentence_that_says_what_is_there(tmp_path):
    (tmp_path / "0.tar").write_bytes(tar([("README.md", b"x"), ("inner.tar", b"x")]))
    cfg = CrawlSettings(side=8, source=source(tmp_path))
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"found none \(found 0 tars.*README"):
            pieces(cfg, open_folder(tmp_path / "out"))
