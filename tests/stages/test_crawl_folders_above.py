"""Folders: metadata that lie above their pictures, or tell of other things than pictures."""

import json

import pytest

from schemas.errors import ConfigError
from tests.stages.folders import captions, folder, lines, listed, passed_over

BELOW = {"train/a.jpg": b"x", "train/b.jpg": b"y"}


@pytest.mark.parametrize("written", ["a.jpg", "A.JPG", "a", "./a.jpg"])
@pytest.mark.parametrize("above", ["", "data/"])
def test_a_bare_name_means_the_only_picture_of_it_below(tmp_path, written, above):
    metadata = lines({"file_name": written, "text": "one"})
    files = {
        f"{above}{name}": data for name, data in (BELOW | {"metadata.jsonl": metadata}).items()
    }
    found = captions(folder(tmp_path, files), tmp_path / "out")
    assert found == {f"{above}train/a.jpg": "one", f"{above}train/b.jpg": None}


def test_a_bare_name_of_several_pictures_below_is_none_of_them(tmp_path):
    metadata = lines({"file_name": "a.jpg", "text": "one"}, {"file_name": "b.jpg", "text": "two"})
    files = BELOW | {"test/a.jpg": b"z", "metadata.jsonl": metadata}
    assert captions(folder(tmp_path, files), tmp_path / "out") == {
        "a.jpg": "missing_file: a.jpg: no such picture in the folder; there is test/a.jpg, put "
        "metadata beside it",
        "test/a.jpg": None, "train/a.jpg": None, "train/b.jpg": "two",
    }  # fmt: skip


def test_where_pictures_lie_beside_metadata_those_below_are_only_named(tmp_path):
    metadata = lines({"file_name": "0.jpg", "text": "one"}, {"file_name": "a.jpg", "text": "two"})
    files = BELOW | {"0.jpg": b"z", "metadata.jsonl": metadata}
    found = captions(folder(tmp_path, files), tmp_path / "out")
    assert found["train/a.jpg"] is None
    assert found["a.jpg"].endswith("there is train/a.jpg, put metadata beside it")


@pytest.mark.parametrize("written", ["gone.jpg", "other/a.jpg", "/content/a.jpg", "../x/a.jpg"])
def test_metadata_of_which_no_name_is_found_are_one_sentence(tmp_path, written):
    metadata = lines({"file_name": written, "text": "one"}, {"file_name": "n.jpg", "text": "two"})
    source = folder(tmp_path, BELOW | {"metadata.jsonl": metadata})
    with pytest.raises(ConfigError) as error:
        listed(source, tmp_path / "out")
    assert f"such as {written}, where there is train/a.jpg; put the file beside" in str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"title": "Photos from 2020", "description": "", "date": {"timestamp": "0"}},
        {"name": "squares", "license": "mit", "splits": [{"name": "train", "rows": 3}]},
        {"path": "data/train", "description": "squares"},
        {"a": {"b": {}}}, [], 3,
    ],
)  # fmt: skip
def test_json_of_other_things_is_passed_over(tmp_path, value):
    files = {"c.jpg": b"x", "c.txt": "a dog", "metadata.json": json.dumps(value)}
    assert captions(folder(tmp_path, files), tmp_path / "out") == {"c.jpg": "a dog"}
    assert passed_over(tmp_path / "out") == {"metadata.json that names no picture": 1}


@pytest.mark.parametrize(
    "value",
    [{"a": "one"}, {"filename": ["a.jpg"], "text": ["one"]}, [{"image": "a", "text": "one"}]],
)
def test_json_that_names_a_picture_without_its_ending_is_read(tmp_path, value):
    source = folder(tmp_path, {"a.jpg": b"x", "metadata.json": json.dumps(value)})
    assert captions(source, tmp_path / "out") == {"a.jpg": "one"}


def test_a_file_whose_only_picture_is_gone_stops_nothing(tmp_path):
    files = {
        "a.jpg": b"x",
        "metadata.jsonl": lines({"file_name": "a.jpg", "text": "one"}),
        "sub/b.jpg": b"x",
        "sub/metadata.jsonl": lines(
            {"file_name": "gone.jpg", "text": "two"}, {"file_name": "lost.jpg", "text": "three"}
        ),
    }
    rows = listed(folder(tmp_path, files), tmp_path / "out")
    gone = [row["url"] for row in rows if (row["problem"] or "").startswith("missing_file")]
    assert gone == ["sub/gone.jpg", "sub/lost.jpg"]
