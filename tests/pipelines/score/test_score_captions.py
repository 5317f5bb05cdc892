"""Captions are read from the real formats; what is wrong with them is named and counted."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.score.caption_files import read_captions
from pipelines.score.caption_set import chosen, lines
from schemas.errors import ConfigError
from tests.pipelines.score import coco


def problems(found):
    return {one.kind: (one.count, *one.examples) for one in found.problems}


def names(found):
    return [caption.names[-1] for caption in found.captions]


@pytest.fixture
def folder(tmp_path):
    return coco.build(tmp_path)


def read(folder):
    return read_captions(str(folder / "captions_val2014.json"))


def test_coco_has_every_caption_with_the_names_its_picture_may_have(folder):
    found = read(folder)
    assert (found.format, found.listed) == ("MS-COCO", coco.PICTURES * coco.EACH)
    first = found.captions[0]
    assert first.names == ("COCO_val2014_000000000100", "100", "5000")
    assert first.picture == "COCO_val2014_000000000100.png"
    assert first.text.endswith("number 0 0")  # without the file's line break
    assert problems(found) == {}


def test_one_caption_of_each_picture_is_chosen_by_the_seed_alone(folder):
    found = read(folder)
    some = chosen(found, 12, seed=0)
    assert len({caption.picture for caption in some.captions}) == 12
    images, annotations = coco.read(folder)
    coco.write(folder, images[::-1], annotations[::-1])
    assert chosen(read(folder), 12, seed=0).captions == some.captions
    assert chosen(found, 12, seed=1).captions != some.captions
    more = chosen(found, 24, seed=0)
    assert more.captions[:12] == some.captions  # a smaller choice is the beginning of a larger one


def test_every_caption_and_every_picture_has_the_same_chance(folder):
    found = read(folder)
    firsts, numbers = set(), set()
    for seed in range(60):
        (one,) = chosen(found, 1, seed).captions
        firsts.add(one.picture)
        numbers.add(int(one.names[2]) % 10)
    assert len(firsts) > coco.PICTURES / 2
    assert numbers == {0, 1, 2}


def test_more_captions_than_there_are_cannot_be_chosen(folder):
    with pytest.raises(ConfigError, match=r"wanted 30,000 captions of different.*found 24"):
        chosen(read(folder), 30_000, seed=0)


def test_what_is_wrong_with_a_coco_file_is_named(folder):
    images, annotations = coco.read(folder)
    annotations = annotations[coco.EACH :]  # the first picture has none left
    annotations[0]["caption"] = " "
    annotations[1]["image_id"] = 9
    annotations[2]["caption"] = annotations[3]["caption"] = annotations[6]["caption"] = "a cat"
    coco.write(folder, images, annotations)
    found = read(folder)
    assert problems(found) == {
        "unlisted_picture": (1, "5011"),
        "empty_caption": (1, "5010"),
        "captionless": (1, "COCO_val2014_000000000100.png"),
    }
    counted = [
        problems(chosen(found, None, seed)).get("doubled_caption", (0,)) for seed in range(40)
    ]
    assert {count for count, *_ in counted} == {0, 1, 2}


INFINITE = '{"images": [{"id": Infinity, "file_name": "a"}], "annotations": []}'


@pytest.mark.parametrize(
    "text",
    ["{", "[" * 100_000, '{"images": []}', '{"images": [{"id": 1}], "annotations": []}', INFINITE],
)
def test_another_json_is_refused_in_a_sentence(tmp_path, text):
    path = tmp_path / "captions.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"wanted MS-COCO's `images`.*found .*; fetch the file"):
        read_captions(str(path))


def test_null_is_an_empty_caption_and_half_a_letter_can_be_written(folder):
    images, annotations = coco.read(folder)
    annotations[0]["caption"] = None
    annotations[1]["caption"] = "\ud800 cat"
    coco.write(folder, images, annotations)
    found = read(folder)
    assert problems(found) == {"empty_caption": (1, "5000")}
    assert found.captions[0].text == "? cat"
    assert b"? cat" in lines(found)


def cub(folder):
    birds = folder / "text_c10"
    for kind, bird, text in (
        ("001.Albatross", "Albatross_0001", "a white bird\nit has long wings\n"),
        ("002.Crow", "Crow_0001", "a black bird\n\na white bird\n"),
        ("003.Finch", "Finch_0001", "never seen in a test"),
    ):
        (birds / kind).mkdir(parents=True)
        (birds / kind / f"{bird}.txt").write_text(text)
    (folder / "testclasses.txt").write_text("001.Albatross\n002.Crow\n")
    return folder


def test_cub_has_the_unique_captions_of_its_test_classes(tmp_path):
    found = read_captions(str(cub(tmp_path)))
    assert [(one.text, *one.names) for one in found.captions] == [
        ("a white bird", "001.Albatross/Albatross_0001_0"),
        ("it has long wings", "001.Albatross/Albatross_0001_1"),
        ("a black bird", "002.Crow/Crow_0001_0"),
    ]
    assert problems(found) == {
        "empty_caption": (1, "002.Crow/Crow_0001_1"),
        "repeated_caption": (1, "002.Crow/Crow_0001_2"),
    }
    assert len(chosen(found, None, 0).captions) == 3  # all of them, not one of each picture


ROWS = [
    {"file_name": "a.png", "caption": "a red circle"},
    {"file_name": "b.jpg", "caption": ""},
    {"file_name": "a.png", "caption": "a blue square"},
    {"file_name": "v1.5", "caption": "a red circle"},
]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_table_has_a_caption_and_a_picture_in_each_row(tmp_path, ending):
    path = tmp_path / f"captions.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        pq.write_table(pa.Table.from_pylist([row | {"png": b"x"} for row in ROWS]), path)
    found = read_captions(str(path))
    assert [(one.text, one.names) for one in found.captions] == [
        ("a red circle", ("a", "0")), ("a red circle", ("v1.5", "3")),
    ]  # fmt: skip
    assert problems(found) == {"doubled_name": (1, "a"), "empty_caption": (1, "b")}
    assert problems(chosen(found, None, 0))["doubled_caption"][0] == 1


def test_lines_and_texts_beside_pictures_are_captions_too(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("a cat\na dog\n")
    assert names(read_captions(str(path))) == ["0", "1"]
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "x.txt").write_text("a cat\nnot read")
    found = read_captions(str(beside))
    assert [(one.text, one.names) for one in found.captions] == [("a cat", ("x", "0"))]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("captions.jsonl", "{}\nno\n", "line 2"),
        ("captions.jsonl", "[1]\n", "line 1: no object"),
        ("captions.jsonl", "{}\n" + "[" * 100_000, "line 2"),
        ("captions.jsonl", '{"caption": "a"}\n', "column picture or .*found caption"),
        ("captions.parquet", "no", "wanted a readable table"),
        ("captions.csv", "no", "wanted a .json"),
        (None, "", "wanted a .json .*not there"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path, name, text, said):
    path = tmp_path / (name or "none.yaml")
    if name:
        path.write_text(text)
    with pytest.raises(ConfigError, match=rf"--captions: .*{said}"):
        read_captions(str(path))


def test_a_file_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"look into '.*none.txt' of --captions, found .*; mend"):
        read_captions(str(tmp_path / "none.txt"))


def test_the_chosen_captions_are_listed_for_whoever_draws_them(folder, tmp_path):
    some = chosen(read(folder), 5, seed=3)
    path = tmp_path / "chosen.jsonl"
    path.write_bytes(lines(some))
    again = read_captions(str(path))
    assert again.format == "MS-COCO"  # whose published rows stand beside these
    assert [(c.names[0], c.text) for c in again.captions] == [
        (c.names[0], c.text) for c in some.captions
    ]
