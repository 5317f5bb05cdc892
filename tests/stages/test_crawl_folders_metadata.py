"""Folders: metadata files as spreadsheets, Hugging Face and kohya's scripts write them."""

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import ConfigError
from tests.stages.folders import captions, digest, folder, lines, listed, passed_over

PICTURES = {"0.jpg": b"x", "1.jpg": b"y"}
BOTH = {"0.jpg": "a red square", "1.jpg": "a blue one, large"}
ROWS = [{"file_name": name, "text": caption} for name, caption in BOTH.items()]


def parquet(rows):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def table(separator, names=("file_name", "caption"), quote='"'):
    cells = [names, *BOTH.items()]
    return "".join(separator.join(f"{quote}{cell}{quote}" for cell in row) + "\n" for row in cells)


FILES = {
    "metadata.csv": table(","),
    "Metadata.CSV": table(","),
    "metadata.tsv": table("\t", quote=""),
    "metadata.csv.gz": gzip.compress(table(",").encode()),
    "metadata.jsonl": lines(*ROWS),
    "metadata.jsonl.gz": gzip.compress(lines(*ROWS)),
    "metadata.json": json.dumps(ROWS),
    "METADATA.JSON": json.dumps(ROWS, indent=1),
    "metadata.parquet": parquet(ROWS),
    "meta_cap.json": json.dumps({name: {"caption": text} for name, text in BOTH.items()}),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", ["", "train/"])
def test_metadata_of_every_form_describe_the_pictures_beside_them(tmp_path, name, where):
    files = {f"{where}{one}": data for one, data in {**PICTURES, name: FILES[name]}.items()}
    source = folder(tmp_path, files)
    expected = {f"{where}{one}": text for one, text in BOTH.items()}
    assert captions(source, tmp_path / "out") == expected
    assert passed_over(tmp_path / "out") == {}
    seen = digest(source)
    (tmp_path / "pics" / where / name).write_bytes(b"changed")
    assert digest(source) != seen


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_separators_and_encodings_of_spreadsheets_are_found(tmp_path, separator, encoding):
    source = folder(tmp_path, PICTURES | {"metadata.csv": table(separator).encode(encoding)})
    assert captions(source, tmp_path / "out") == BOTH


@pytest.mark.parametrize(
    "names",
    [
        ("image", "prompt"), ("filename", "text"), ("File Name", "Caption"), ("FILE_NAME", "TEXT"),
        ("path", "description"), ("img", "title"), (" file_name ", " caption "),
        ("image_path", "captions"), ("filepath", "alt text"), ("image-name", "sentence"),
        ("image_file_name", "tags"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "json"])
def test_usual_names_of_columns_are_known_and_said(tmp_path, caplog, names, ending):
    caplog.set_level("INFO")
    rows = [dict(zip(names, row, strict=True)) for row in BOTH.items()]
    form = {"csv": table(",", names), "jsonl": lines(*rows), "parquet": parquet(rows)}
    data = form.get(ending) or json.dumps(rows)
    source = folder(tmp_path, PICTURES | {f"metadata.{ending}": data})
    assert captions(source, tmp_path / "out") == BOTH
    said = " ".join(record.message for record in caplog.records if "column" in record.message)
    if names[0] == "image":
        assert "'image' is read as" in said
        assert "'prompt'" in said


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "json"])
@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"a": "0.jpg", "caption": "x"}, "wanted a column 'file_name' .*found .*'a', 'caption'.*"
         "crawl.source.file_column"),
        ({"file_name": "0.jpg", "b": "x"}, "wanted a column 'caption' .*found .*'b'.*"
         "crawl.source.caption_column"),
        ({"file_name": "https://a.org/0.jpg", "caption": "x"}, "found addresses such as "
         "https://a.org/0.jpg; crawl them with crawl.source.kind=urls"),
    ],
)  # fmt: skip
def test_a_column_that_is_missing_is_one_sentence(tmp_path, ending, row, says):
    text = "".join(f"{','.join(cells)}\n" for cells in (row.keys(), row.values()))
    form = {"csv": text, "jsonl": lines(row), "parquet": parquet([row]), "json": json.dumps([row])}
    source = folder(tmp_path, PICTURES | {f"metadata.{ending}": form[ending]})
    with pytest.raises(ConfigError, match=says):
        listed(source, tmp_path / "out")


@pytest.mark.parametrize(
    "written",
    [
        "sub/a.jpg", "./sub/a.jpg", "sub\\a.jpg", ".\\sub\\a.jpg", " sub/a.jpg ", "sub//a.jpg",
        "sub/../sub/a.jpg", "SUB/A.JPG", "%73ub/a.jpg", "pics/sub/a.jpg", "sub/a",
        "{top}/sub/a.jpg", "file://{top}/sub/a.jpg",
    ],
)  # fmt: skip
def test_names_are_understood_as_people_write_them(tmp_path, written):
    source = folder(tmp_path, {"sub/a.jpg": b"x"})
    record = {"file_name": written.format(top=source.path), "caption": "x"}
    folder(tmp_path, {"metadata.jsonl": lines(record)})
    (row,) = listed(source, tmp_path / "out")
    assert (row["url"], row["picture"], row["caption"]) == ("sub/a.jpg", "sub/a.jpg", "x")


@pytest.mark.parametrize("written", ["a.jpg", "../a.jpg", "sub/b.jpg", "b.jpg", "../sub/b.jpg"])
def test_names_are_relative_to_the_metadata_or_to_the_folder(tmp_path, written):
    record = {"file_name": written, "caption": "x"}
    source = folder(tmp_path, {"a.jpg": b"", "sub/b.jpg": b"", "sub/metadata.jsonl": lines(record)})
    found = captions(source, tmp_path / "out")
    named = "a.jpg" if "a.jpg" in written else "sub/b.jpg"
    assert found == {"a.jpg": None, "sub/b.jpg": None} | {named: "x"}


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("gone.jpg", "missing_file: gone.jpg: no such picture in the folder"),
        ("", "missing_file: no name of a file"),
        (None, "missing_file: no name of a file"),
        ("../../secret.jpg", "outside_folder: ../../secret.jpg: a name that leads out"),
        ("/etc/passwd", "outside_folder: /etc/passwd: a name that leads out of the folder"),
        ("C:\\pics\\0.jpg", "outside_folder: C:/pics/0.jpg: a name that leads out of the"),
        ("https://a.org/0.jpg", "bad_url: https://a.org/0.jpg: an address of the web, not a file"),
        ("x.mp4", "not_an_image: x.mp4: neither its name nor its first bytes"),
        ("two", "missing_file: two: 2 pictures can be meant, give the ending too"),
        (".hidden/0.jpg", "missing_file: .hidden/0.jpg: no such picture in the folder"),
    ],
)
def test_a_name_without_a_picture_is_a_row_with_its_caption(tmp_path, written, problem):
    files = PICTURES | {"x.mp4": b"", "two.png": b"", "two.jpg": b"", ".hidden/0.jpg": b""}
    records = lines({"file_name": "0.jpg", "caption": "y"}, {"file_name": written, "caption": "x"})
    source = folder(tmp_path, files | {"metadata.jsonl": records})
    row = listed(source, tmp_path / "out")[1]
    assert row["problem"].startswith(problem)
    assert row["caption"] == "x"
    assert row["picture"] is None


def test_metadata_without_captions_leave_them_to_the_files_beside(tmp_path):
    records = [{"file_name": "0.jpg", "licence": "free"}, {"file_name": "1.jpg"}]
    source = folder(tmp_path, PICTURES | {"0.txt": "beside", "metadata.jsonl": lines(*records)})
    rows = listed(source, tmp_path / "out")
    assert [row["caption"] for row in rows] == ["beside", None]
    assert json.loads(rows[0]["source"]) == {"licence": "free"}


WITHOUT_ROWS, DESCRIBED = "metadata without rows", "captions of pictures that metadata describe"
NO_TEXT = "unreadable_row: not in its encoding (crawl.source.encoding can name another): "


@pytest.mark.parametrize(
    ("files", "found", "over"),
    [
        ({"0.txt": "beside", "metadata.csv": "file_name,caption\n0.jpg,\n1.jpg, \n"},
         ["beside", ""], {}),
        ({"0.txt": "beside", "metadata.csv": table(",")}, [*BOTH.values()], {DESCRIBED: 1}),
        ({"metadata.csv": ""}, [None, None], {WITHOUT_ROWS: 1}),
        ({"metadata.csv": "file_name,caption\n"}, [None, None], {WITHOUT_ROWS: 1}),
        ({"metadata.json": lines(ROWS[0])}, ["a red square", None], {}),  # of a single line
        ({"metadata.jsonl": lines(
            {"file_name": "0.jpg", "caption": {"en": "x"}}, {"file_name": "1.jpg", "text": "y"})},
         ["unreadable_row: 0.jpg: a caption that is no text", "y"], {}),
        ({"metadata.parquet": parquet(
            [{"file_name": "0.jpg", "text": b"\xff"}, {"file_name": "1.jpg", "text": b"x"}])},
         [f"{NO_TEXT}0.jpg \\udcff", "x"], {}),
    ],
)  # fmt: skip
def test_what_metadata_leave_open_is_beside_and_what_is_damaged_costs_its_row(
    tmp_path, files, found, over
):
    source = folder(tmp_path, PICTURES | files)
    assert captions(source, tmp_path / "out") == dict(zip(PICTURES, found, strict=True))
    assert passed_over(tmp_path / "out") == over


def test_several_metadata_files_are_all_read_and_what_they_share_once(tmp_path):
    more = lines(
        *ROWS, {"file_name": "0.jpg", "text": "another"}, {"file_name": "2.jpg", "text": "z"}
    )
    files = {"metadata.csv": table(","), "metadata.jsonl": more, "sub/metadata.csv": table(",")}
    pictures = PICTURES | {"2.jpg": b"", "sub/0.jpg": b"", "sub/1.jpg": b""}
    rows = listed(folder(tmp_path, pictures | files), tmp_path / "out")
    assert [(row["url"], row["caption"]) for row in rows] == [
        *BOTH.items(),
        ("0.jpg", "another"),
        ("2.jpg", "z"),
        *((f"sub/{name}", caption) for name, caption in BOTH.items()),
    ]
    assert passed_over(tmp_path / "out") == {
        "captions that another metadata file of the folder has too": 2
    }


BY_NAME = [
    BOTH,
    {name: [text] for name, text in BOTH.items()},
    {name: {"text": text, "a": {"b": 1}} for name, text in BOTH.items()},
    {"file_name": list(BOTH), "caption": list(BOTH.values())},
    {"file_name": dict(enumerate(BOTH)), "caption": dict(enumerate(BOTH.values()))},
    {"images": ROWS},
]
KOHYA = [
    {n[0]: {"caption": text} for n, text in BOTH.items()},
    {f"/content/train/{n}": {"tags": t} for n, t in BOTH.items()},
    {f"pics/{n}": {"caption": t, "train_resolution": [8, 8]} for n, t in BOTH.items()},
]
AS_BYTES = [
    [{"file_name": n.encode(), column: t.encode(), "hash": b"\xff"} for n, t in BOTH.items()]
    for column in ("text", "caption")
]
OTHERWISE = [
    ("metadata.csv", table("~"), {"separator": "~"}),
    ("metadata.csv", table(",", ("a", "b")), {"file_column": "a", "caption_column": "b"}),
    ("metadata.csv", table(",").partition("\n")[2], {"columns": ("file_name", "caption")}),
    ("metadata.json", lines(*ROWS), {}),
    *(("metadata.json", json.dumps(value), {}) for value in BY_NAME),
    *(("meta_lat.json", json.dumps(value), {}) for value in KOHYA),
    *(("metadata.parquet", parquet(rows), {}) for rows in AS_BYTES),
]


@pytest.mark.parametrize(("name", "data", "told"), OTHERWISE)
def test_metadata_that_are_written_otherwise_are_read(tmp_path, name, data, told):
    source = folder(tmp_path, PICTURES | {name: data}, **told)
    assert captions(source, tmp_path / "out") == BOTH


def test_several_captions_and_other_columns_of_parquet_come_in(tmp_path):
    rows = [{"file_name": "0.jpg", "captions": ["a", "b"], "size": 3, "bytes": b"\xff"}]
    source = folder(tmp_path, {"0.jpg": b"", "metadata.parquet": parquet(rows)})
    found = listed(source, tmp_path / "out")
    assert [(row["url"], row["caption"]) for row in found] == [("0.jpg", "a"), ("0.jpg", "b")]
    assert [json.loads(row["source"]) for row in found] == [{"size": 3}] * 2


def test_damaged_parquet_is_one_sentence_or_a_row(tmp_path):
    whole = parquet([{"file_name": f"{n}.jpg", "caption": str(n) * 50} for n in range(3000)])
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n"
    for data, said in (
        (whole[:200], r"wanted a Parquet file at .*metadata.parquet"),
        (pointer, "found a pointer of Git LFS by its first bytes; fetch"),
    ):
        source = folder(tmp_path, PICTURES | {"metadata.parquet": data})
        with pytest.raises(ConfigError, match=said):
            listed(source, tmp_path / "out")
    broken = bytearray(whole)
    broken[5_000:20_000] = b"\0" * 15_000
    source = folder(tmp_path, {"metadata.parquet": bytes(broken)})
    problems = [row["problem"] for row in listed(source, tmp_path / "out")]
    assert any(problem and "metadata.parquet" in problem for problem in problems)


@pytest.mark.parametrize("data", ["", "[]", "{}", "no JSON", "3", "[1]", '{"a": {"b": {}}}'])
def test_metadata_that_hold_nothing_cost_no_picture(tmp_path, data):
    source = folder(tmp_path, PICTURES | {"metadata.json": data})
    try:
        found = captions(source, tmp_path / "out")
    except ConfigError as error:
        found = {"0.jpg", "1.jpg"} if "metadata.json" in str(error) else {}
    assert set(found) >= {"0.jpg", "1.jpg"}
