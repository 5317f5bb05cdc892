"""Folders: every file that is a picture by its bytes or its name is a row; the others count."""

import re
import unicodedata

import pytest

from schemas.errors import ConfigError
from stages.crawl.reasons import Refused
from stages.crawl.sources.file_names import stem_of_picture
from stages.crawl.sources.picture_folder import FolderReader, as_url, from_url
from stages.pictures.forms import FORMATS, FORMS, SUFFIXES, form_of_bytes, unread_form
from tests.stages.folders import captions, digest, folder, listed, passed_over
from tests.stages.test_crawl import picture

PICTURES = [
    "a.jpg", "b.JPG", "c.Jpeg", "d.jfif", "e.jpe", "f.jpg_large", "g.jpg_orig", "h.jpg:large",
    "i.jpg?w=640", "j.jpg!large", "k.png~", "l.jpg (1)", "m.jpg@2x", "n.jpg&name=large",
    "o.JPEG?v=1.2", "p.webp-large", "q.HEIC", "r.heif", "s.jxl", "t.jp2", "u.psd", "v.svg", "w.cr2",
    "x.NEF", "y.dng", "z.raw", "aa.ico", "bb.tga", "cc.exr", "dd.hdr", "ee.pjpeg", "ff.apng",
    "gg.avif", "hh.tar.png", "ii.#1.jpg", "jj%20.jpg", "kk\nll.jpg", " mm .jpg", "nn..jpg",
    "öö.jpg", "n" * 251 + ".jpg", "a::b.jpg", "#?.jpg", "file:x.jpg",
]  # fmt: skip


def test_names_of_pictures_in_all_forms_are_rows(tmp_path):
    source = folder(tmp_path, {name: name for name in PICTURES})
    reader = FolderReader(source, 1_000)
    rows = listed(source, tmp_path / "out")
    assert [row["url"] for row in rows] == sorted(PICTURES)
    assert [row["picture"] for row in rows] == sorted(PICTURES)
    assert all(reader.read(name).decode() == name for name in PICTURES[-8:])
    assert len({row["key"] for row in rows}) == len(PICTURES)
    assert all(from_url(as_url(name)) == name for name in PICTURES)
    assert passed_over(tmp_path / "out") == {}
    assert digest(source)


@pytest.mark.parametrize(
    ("name", "data", "stem"),
    [(name, b"x", name.partition(".")[0]) for name in PICTURES[:16]]
    + [
        (name, picture(24, 24, form), name)
        for name in ("0001", "blob.bin", "image.php", "x.jpg.1", "y.dat", "photo.2020")
        for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    ],
)
def test_a_picture_is_known_by_its_ending_or_its_bytes(tmp_path, name, data, stem):
    source = folder(tmp_path, {name: data, f"{stem}.txt": "a caption"})
    assert captions(source, tmp_path / "out") == {name: "a caption"}


def test_bytes_that_are_no_picture_are_passed_over_where_the_name_says_nothing(tmp_path):
    files = {"Makefile": "all:", "x.dat": "BM is no bitmap", "empty": b"", "a.tokens": "1"}
    source = folder(tmp_path, files | {"a.jpg": b"x"})
    assert captions(source, tmp_path / "out") == {"a.jpg": None}
    assert passed_over(tmp_path / "out") == {
        "empty files": 1,
        "files named like a picture, with no ending of captions (.txt is read)": 1,
        "files of other kinds": 2,
    }


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("._a.jpg", "AppleDouble files"),
        (".hidden.jpg", "hidden files"),
        (".DS_Store", "hidden files"),
        (".uncommitted-a.jpg", "hidden files"),
        ("Thumbs.db", "files of the system"),
        ("desktop.ini", "files of the system"),
        ("@eaDir/a.jpg", "folders of the system"),
        ("sub/@eaDir/a.jpg/SYNOPHOTO_THUMB_B.jpg", "folders of the system"),
        ("__MACOSX/a.jpg", "folders of the system"),
        (".ipynb_checkpoints/a-checkpoint.jpg", "hidden folders"),
        (".git/objects/ab/cd.jpg", "hidden folders"),
        (".cache/huggingface/download/a.jpg.metadata", "hidden folders"),
        ("a.jpg.part", "unfinished downloads"),
        ("b.crdownload", "unfinished downloads"),
        ("b.mp4", "videos and sounds"),
        ("b.MOV", "videos and sounds"),
        ("b.zip", "archives (to be unpacked)"),
        ("b.tar", "tars (crawl.source.kind=tars reads them)"),
        ("b.tar.gz", "tars (crawl.source.kind=tars reads them)"),
        ("b.pdf", "documents and code"),
        ("README.md", "documents and code"),
        ("train.csv", "tables that are not named metadata (metadata.csv is read)"),
        ("captions.txt", "tables that are not named metadata (metadata.csv is read)"),
        ("metadata.txt", "tables that are not named metadata (metadata.csv is read)"),
        ("captions.csv.gz", "tables that are not named metadata (metadata.csv is read)"),
        ("a.npz", "arrays and weights"),
        ("a.xmp", "files beside pictures of cameras and editors"),
        ("LICENSE.txt", "texts about the whole folder"),
        ("requirements-dev.txt", "texts about the whole folder"),
        ("dataset_infos.json", "JSON files beside no picture"),
    ],
)
def test_what_is_passed_over_is_counted_once_in_words(tmp_path, name, why):
    source = folder(tmp_path, {name: picture(24, 24, "JPEG"), "good.jpg": b"x"})
    before = digest(source)
    assert captions(source, tmp_path / "out") == {"good.jpg": None}
    assert passed_over(tmp_path / "out") == {why: 1}
    (tmp_path / "pics" / name).write_bytes(b"other bytes")
    assert digest(source) == before, "what is not read is in no fingerprint"


def test_the_sentence_is_said_once(tmp_path, caplog):
    caplog.set_level("INFO")
    source = folder(tmp_path, {".a/1.jpg": b"", ".a/2.jpg": b"", "x.jpg": b"", "b.zip": b""})
    for _ in range(2):
        listed(source, tmp_path / "out")
    said = [record.message for record in caplog.records if "found" in record.message]
    assert said == [
        f"crawl: found 1 pictures in {source.path}, passed over 2: "
        "1 archives (to be unpacked) (b.zip); 1 hidden folders (.a/)"
    ]


def test_a_source_below_a_hidden_folder_is_read(tmp_path):
    source = folder(tmp_path / ".cache", {"a.jpg": b"x", "a.txt": "a caption"})
    assert captions(source, tmp_path / "out") == {"a.jpg": "a caption"}


@pytest.mark.parametrize(
    "form", [form for form in FORMS if not form.is_read], ids=lambda f: f.label
)
def test_a_form_without_a_decoder_is_named_by_the_reason(tmp_path, form):
    source = folder(tmp_path, {f"x{form.endings[0]}": b"what such files hold"})
    said = f"not_an_image: an? {re.escape(form.label)} picture, which is not read; convert"
    with pytest.raises(Refused, match=said):
        FolderReader(source, 1_000).read(f"x{form.endings[0]}")


HEADS = {
    "JPEG": b"\xff\xd8\xff\xe0", "HEIC or HEIF": b"\0\0\0\x18ftypheic",
    "AVIF": b"\0\0\0\x1cftypavif", "JPEG XL": b"\xff\x0a", "JPEG 2000": b"\0\0\0\x0cjP  \r\n",
    "camera raw": b"II*\0\x10\0\0\0CR\2\0", "TIFF": b"II*\0\x08\0\0\0", "OpenEXR": b"v/1\x01",
    "Photoshop (PSD)": b"8BPS\0\1", "Radiance HDR": b"#?RADIANCE\n", "PNG": b"\x89PNG\r\n\x1a\n",
    "WebP": b"RIFF\x10\0\0\0WEBPVP8 ",
}  # fmt: skip


AVIF, HEIC = b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", b"\0\0\0\x18ftypmif1\0\0\0\0heic"


@pytest.mark.parametrize(
    ("label", "head"), [*HEADS.items(), ("AVIF", AVIF), ("HEIC or HEIF", HEIC)]
)
def test_bytes_tell_the_form(label, head):
    form = form_of_bytes(head)
    assert form is not None
    assert form.label == label


def test_what_a_decoder_reads_is_read_whatever_its_name():
    assert unread_form(HEADS["JPEG"], ".heic") is None  # as phones export it
    assert unread_form(HEADS["PNG"], ".psd") is None
    assert unread_form(HEADS["HEIC or HEIF"], ".jpg") == (
        "a HEIC or HEIF picture, which is not read"
    )
    assert unread_form(HEADS["TIFF"], ".dng") is not None  # the first picture in it is a thumbnail
    assert unread_form(HEADS["TIFF"], ".tif") is None
    assert unread_form(b"<html>", ".jpg") is None  # the decoder's to say


def test_every_form_that_is_read_is_known_by_name_and_bytes():
    assert set(FORMATS) <= {form.decoder for form in FORMS}
    assert all(stem_of_picture(f"x{ending}") == "x" for ending in SUFFIXES)
    assert all(form.is_read for form in FORMS if set(form.endings) & set(SUFFIXES))


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 12\n"


@pytest.mark.parametrize(("data", "why"), [(LFS, "git lfs pull"), (b"../../blobs/11aa", "cp -rL")])
@pytest.mark.parametrize("name", ["a.jpg", "a.txt"])
def test_what_only_points_to_a_file_is_missing(tmp_path, data, why, name):
    source = folder(tmp_path, {name: data})
    with pytest.raises(Refused, match=f"missing_file: {name} is .*{why}"):
        FolderReader(source, 1_000).read(name)


def test_names_that_nearly_collide_keep_their_own_captions(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))
    files = {
        "A.jpg": b"1", "a.jpg": b"2", "a.txt": "small", "A.txt": "large",
        "b.jpg": b"3", "b.png": b"4", "b.txt": "both",
        nfc: b"5", nfd: b"6", nfc.replace("jpg", "txt"): "composed",
        "x/c.jpg": b"7", "X/c.jpg": b"8", "x/c.txt": "in x",
    }  # fmt: skip
    source = folder(tmp_path, files)
    assert captions(source, tmp_path / "out") == {
        "A.jpg": "large", "a.jpg": "small", "b.jpg": "both", "b.png": "both",
        nfc: "composed", nfd: None, "x/c.jpg": "in x", "X/c.jpg": None,
    }  # fmt: skip


def test_names_of_other_bytes_than_utf_8_are_read(tmp_path):
    names = [b"\xff.jpg", b"\xfe.jpg", b"\xc3\xa9.jpg"]
    source = folder(tmp_path, {})
    (tmp_path / "pics").mkdir()
    for number, name in enumerate(names):
        with open(bytes(tmp_path / "pics") + b"/" + name, "wb") as file:
            file.write(b"%d" % number)
        with open(bytes(tmp_path / "pics") + b"/" + name.replace(b"jpg", b"txt"), "w") as file:
            file.write(f"caption {number}")
    rows = {row["url"]: row for row in listed(source, tmp_path / "out")}
    reader = FolderReader(source, 1_000)
    found = {url: (row["caption"], reader.read(row["picture"])) for url, row in rows.items()}
    assert found == {
        "\\xff.jpg": ("caption 0", b"0"),
        "\\xfe.jpg": ("caption 1", b"1"),
        "é.jpg": ("caption 2", b"2"),
    }
    assert reader.read(from_url(as_url(rows["\\xff.jpg"]["picture"]))) == b"0"
    assert digest(source)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "wanted pictures, found 0 pictures in '.*pics'; set crawl.source.path"),
        ({"README.txt": "x"}, r"passed over 1: 1 texts about the whole folder \(README.txt\)"),
        ({"a.txt": "x"}, "a.txt: missing_file: no picture beside a.txt"),
        ({"a.tar": b"x"}, "crawl.source.kind=tars reads them"),
    ],
)
def test_a_folder_without_pictures_is_one_sentence(tmp_path, files, says):
    source = folder(tmp_path, files)
    (tmp_path / "pics").mkdir(exist_ok=True)
    for ask in (digest, lambda source: listed(source, tmp_path / "out")):
        with pytest.raises(ConfigError, match=says):
            ask(source)


def test_a_path_that_is_no_folder_is_one_sentence(tmp_path):
    source = folder(tmp_path, {"a.jpg": b"x"})
    for path, found in (("a.jpg", "a file"), ("gone", "none")):
        other = source.model_copy(update={"path": f"{source.path}/{path}"})
        with pytest.raises(ConfigError, match=f"wanted a folder of pictures .*, found {found} at"):
            digest(other)


def test_a_folder_on_an_object_store_is_listed_alike(tmp_path):
    import fsspec

    files = {
        "a.jpg": b"x",
        "b": picture(24, 24, "JPEG"),
        ".git/c.jpg": b"",
        "@eaDir/a.jpg": b"",
        "b.txt": b"text",
    }
    here = folder(tmp_path, files)
    store = fsspec.filesystem("memory")
    for name, data in files.items():
        store.pipe(f"/listed-alike/{name}", data)
    there = here.model_copy(update={"path": "memory://listed-alike"})
    assert listed(here, tmp_path / "a") == listed(there, tmp_path / "b")
    assert passed_over(tmp_path / "a") == passed_over(tmp_path / "b")
    assert digest(here) == digest(there)
    store.rm("/listed-alike", recursive=True)
