"""Folders: which files beside a picture are its caption, in which encodings, and which are none."""

import json
import unicodedata

import pytest

from stages.crawl.sources.beside import caption_column
from tests.stages.folders import captions, digest, folder, listed, passed_over

BESIDE = [
    "a.txt", "a.TXT", "a.Txt", "a.caption", "a.CAPTION", "a.captions", "a.tags", "a.text",
    "a.prompt", "a.jpg.txt", "a.JPG.txt", "a.jpg.caption", "A.txt", "A.TXT", "a.jpg.TXT",
]  # fmt: skip
OTHERS = ["a.wd14", "a.desc", "a.cap2", "a.xmp2"]


@pytest.mark.parametrize("name", BESIDE + OTHERS)
def test_files_beside_a_picture_are_its_caption_or_are_said(tmp_path, name):
    source = folder(tmp_path, {"sub/a.jpg": b"x", f"sub/{name}": "a red square"})
    said = {"files named like a picture, with no ending of captions (.txt is read)": 1}
    caption, over = (None, said) if name in OTHERS else ("a red square", {})
    assert captions(source, tmp_path / "out") == {"sub/a.jpg": caption}
    assert passed_over(tmp_path / "out") == over


@pytest.mark.parametrize("name", ["a.json", "a.JSON", "a.jpg.json", "A.Json"])
@pytest.mark.parametrize(
    ("record", "caption"),
    [
        ({"caption": "x"}, "x"),
        ({"Caption": "x"}, "x"),
        ({"captions": ["x"]}, "x"),
        ({"text": "x", "title": "y"}, "x"),
        ({"prompt": "x", "seed": 1}, "x"),
        ({"description": "x"}, "x"),
        ({"title": "x", "tags": "y"}, "x"),
        ({"tags": "a, b"}, "a, b"),
        ({"caption": None, "text": "x"}, "x"),
        ({"id": 3}, None),
        (["x"], "x"),
        ("x", "x"),
    ],
)
def test_json_beside_a_picture_has_its_caption_under_a_usual_name(tmp_path, name, record, caption):
    source = folder(tmp_path, {"a.jpg": b"x", name: json.dumps(record)})
    assert captions(source, tmp_path / "out") == {"a.jpg": caption}


def test_the_setting_names_the_column_of_json(tmp_path):
    record = {"caption": "no", "wd14": "yes", "id": 1}
    source = folder(tmp_path, {"a.jpg": b"x", "a.json": json.dumps(record)}, caption_column="wd14")
    (row,) = listed(source, tmp_path / "out")
    assert row["caption"] == "yes"
    assert json.loads(row["source"]) == {"caption": "no", "id": 1}
    assert caption_column(["caption"], source) is None


ORDER = ["a.jpg.txt", "a.jpg.caption", "a.txt", "a.caption", "a.captions", "a.text", "a.prompt",
         "a.tags", "A.txt", "A.caption", "a.json"]  # fmt: skip


@pytest.mark.parametrize("first", range(len(ORDER) - 1))
def test_of_several_captions_the_first_in_order_is_read_and_the_others_count(tmp_path, first):
    files = {name: f"from {name}" for name in ORDER[first:-1]} | {"a.json": '"from json"'}
    source = folder(tmp_path, {"a.jpg": b"x"} | files)
    assert captions(source, tmp_path / "out") == {"a.jpg": f"from {ORDER[first]}"}
    second = len(ORDER) - first - 2
    expected = {"captions of pictures that have a better one": second} if second else {}
    assert passed_over(tmp_path / "out") == expected


NAMED = {"title": "a.jpg", "url": "x"}


@pytest.mark.parametrize(
    ("files", "caption", "kept", "behind"),
    [
        ({"a.jpg.json": {"caption": "J"}, "a.txt": "T"}, "T", {"caption": "J"}, 0),
        ({"a.json": {"caption": "T", "id": 1}, "a.txt": "T"}, "T", {"id": 1}, 0),
        ({"a.json": "J", "a.txt": "T"}, "T", {"caption": "J"}, 0),
        ({"a.txt": "", "a.json": {"caption": "J"}}, "J", None, 0),
        ({"a.txt": " \n", "a.json": {"caption": ""}}, "", None, 0),
        ({"a.txt": "", "a.json": {}}, "", None, 0),
        ({"a.txt": "", "a.caption": "C"}, "C", None, 1),
        ({"a.jpg.txt": "", "a.txt": "", "A.TXT": "C"}, "C", None, 2),
        ({"a.jpg.json": {"id": 1}, "a.json": {"caption": "J2", "id": 2}}, "J2", {"id": 1}, 1),
        ({"a.jpg.json": {"caption": "J1"}, "a.json": {"caption": "J2"}}, "J1", None, 1),
        ({"a.json": {"caption": "", "text": "t"}}, "t", {"caption": ""}, 0),
        ({"a.jpg.json": NAMED}, None, NAMED, 0),  # a title that is the picture's name is none
    ],
)
def test_an_empty_caption_gives_way_and_one_that_is_not_used_is_kept_or_counted(
    tmp_path, files, caption, kept, behind
):
    texts = {n: data if n.endswith(("xt", "XT", "caption")) else json.dumps(data)
             for n, data in files.items()}  # fmt: skip
    (row,) = listed(folder(tmp_path, {"a.jpg": b"x"} | texts), tmp_path / "out")
    assert row["problem"] is None
    assert row["caption"] == caption
    assert (json.loads(row["source"]) if row["source"] else None) == kept
    assert sum(passed_over(tmp_path / "out").values()) == behind


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("name", ["a.txt", "a.json"])
def test_encodings_that_show_are_read(tmp_path, encoding, name):
    text = json.dumps({"caption": "a käse"}, ensure_ascii=False) if name == "a.json" else "a käse\n"
    source = folder(tmp_path, {"a.jpg": b"x", name: text.encode(encoding)})
    assert captions(source, tmp_path / "out") == {"a.jpg": "a käse"}


@pytest.mark.parametrize(
    ("encoding", "text"), [("cp1252", "Käse “x”"), ("shift_jis", "赤い四角"), ("koi8-r", "сыр")]
)
@pytest.mark.parametrize("name", ["a.txt", "a.json", "metadata.jsonl"])
def test_other_encodings_are_named_by_the_setting(tmp_path, encoding, text, name):
    record = {"file_name": "a.jpg", "caption": text} if name == "metadata.jsonl" else text
    content = text if name == "a.txt" else json.dumps(record, ensure_ascii=False)
    source = folder(tmp_path, {"a.jpg": b"x", name: content.encode(encoding)})
    (problem,) = captions(source, tmp_path / "out").values()
    assert problem.startswith("unreadable_row: ")
    assert "crawl.source.encoding" in problem
    told = source.model_copy(update={"encoding": encoding})
    assert captions(told, tmp_path / "told") == {"a.jpg": text}


@pytest.mark.parametrize("of_picture", ["NFC", "NFD"])
@pytest.mark.parametrize("of_caption", ["NFC", "NFD"])
def test_other_unicode_normalisation_is_the_same_name(tmp_path, of_picture, of_caption):
    picture = unicodedata.normalize(of_picture, "café.jpg")
    caption = unicodedata.normalize(of_caption, "café.txt")
    source = folder(tmp_path, {picture: b"x", caption: "coffee"})
    assert captions(source, tmp_path / "out") == {picture: "coffee"}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("whole", ["1girl, solo\nlong hair"]),
        ("first_line", ["1girl, solo"]),
        ("each_line", ["1girl, solo", "long hair"]),
    ],
)
def test_folders_as_kohyas_scripts_have_them(tmp_path, how, expected):
    files = {"10_girl dress/a.png": b"x", "10_girl dress/a.txt": "1girl, solo\r\nlong hair\n"}
    source = folder(tmp_path, files, caption=how)
    found = [row["caption"].replace("\r", "") for row in listed(source, tmp_path / "out")]
    assert found == expected


def test_captions_whose_picture_is_gone_are_rows(tmp_path):
    files = {
        "0.jpg": b"x", "0.txt": "here", "1.txt": "gone", "2.caption": "gone", "3.txt": "gone",
        "3.json": "{}", "4.jpg.txt": "gone", "sub/0.txt": "of another folder",
        "gone/5.txt": "gone with its folder", "README.txt": "x", "license-mit.txt": "x",
        "classes.txt": "x", "config.json": "{}",
        "6.jpg": b"x", "6.json": "{}", "7.json": "{}", "00000_stats.json": "{}",
    }  # fmt: skip
    source = folder(tmp_path, files)
    (tmp_path / "pics" / "00000_stats.json").rename(tmp_path / "pics" / "sub" / "00000_stats.json")
    before = digest(source)
    assert captions(source, tmp_path / "out") == {
        "0.jpg": "here", "6.jpg": None,
        "1.txt": "missing_file: 1.txt: no picture beside 1.txt",
        "2.caption": "missing_file: 2.caption: no picture beside 2.caption",
        "3.json": "missing_file: 3.json: no picture beside 3.json, 3.txt",
        "4.jpg.txt": "missing_file: 4.jpg.txt: no picture beside 4.jpg.txt",
        "7.json": "missing_file: 7.json: no picture beside 7.json",
        "gone/5.txt": "missing_file: gone/5.txt: no picture beside 5.txt",
    }  # fmt: skip
    assert passed_over(tmp_path / "out") == {
        "texts about the whole folder": 4,
        "JSON files beside no picture": 1,
        "texts in another folder than the picture of their name": 1,
    }
    (tmp_path / "pics" / "1.txt").unlink()
    assert digest(source) != before


def test_captions_in_a_folder_of_their_own_are_said_and_not_read(tmp_path):
    names = [f"{n:04}" for n in range(30)]
    files = {f"images/{name}.jpg": b"x" for name in names}
    files |= {f"labels/{name}.txt": "0 0.5 0.5 1 1" for name in names}
    source = folder(tmp_path, files)
    assert len(listed(source, tmp_path / "out")) == 30
    assert passed_over(tmp_path / "out") == {
        "texts in another folder than the picture of their name": 30
    }


def test_rows_do_not_depend_on_threads_or_locale(tmp_path, monkeypatch):
    files = {f"{n}{letter}.jpg": b"x" for n in range(9) for letter in "aZäé"}
    files |= {name.replace("jpg", "txt"): name for name in files}
    described = [f"{n}/x.jpg" for n in range(20)]
    files |= {name.replace("x.jpg", "metadata.csv"): "file_name,text\nx,y" for name in described}
    source = folder(tmp_path, files | dict.fromkeys(described, b"x"))
    first = listed(source, tmp_path / "one", threads=1)
    monkeypatch.setenv("LC_ALL", "C")
    assert listed(source, tmp_path / "many", threads=16) == first
    assert [row["url"] for row in first] == [
        *sorted(described),
        *sorted(name for name in files if "jpg" in name),
    ]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_only_lf_and_cr_end_a_line(tmp_path, mark, end):
    files = {"a.jpg": b"x", "a.txt": f"one{mark}more{end}two{end}".encode()}
    found = listed(folder(tmp_path, files, caption="each_line"), tmp_path / "out")
    assert [row["caption"] for row in found] == [f"one{mark}more", "two"]
