"""Files of prompts, the world's and the validation captions: what is drawn, and what is refused."""

import csv
import io
import json

import pyarrow as pa
import pytest

from infra.folders import open_folder
from schemas.artifacts import TOKEN_PAIRS
from schemas.errors import ConfigError
from schemas.folder import Inputs
from schemas.settings import PromptSettings, SampleSettings
from stages import sample
from stages.data.parquet import parquet_bytes
from stages.sample.prompts import EMPTY, UNREADABLE, Prompt, prompts
from tests import tiny_run
from tests.stages.finished import NOTHING

WANTED = [Prompt(0, "a red star", "seen"), Prompt(2, "two words", "prompts")]


def file_of(folder, data, name="p.txt", **how):
    """Write a file of prompts; return the settings that name it."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return PromptSettings(**{"kind": "file", "path": str(path)} | how)


def csv_of(table, delimiter):
    file = io.StringIO()
    writer = csv.DictWriter(file, ["prompt", "set", "note"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue().encode()


ROWS = [
    {"prompt": "a red star", "set": "seen"},
    {"prompt": " ", "set": "seen"},
    {"prompt": "two words", "set": ""},
]
FILES = {
    "p.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "p.csv": csv_of(ROWS, ","),
    "p.tsv": csv_of(ROWS, "\t"),
    "p.parquet": parquet_bytes(pa.Table.from_pylist(ROWS), {"row_group_size": 2}),
}


@pytest.mark.parametrize("kind", ["file", "world"])
@pytest.mark.parametrize("name", FILES)
def test_files_of_prompts(tmp_path, name, kind):
    found = prompts(NOTHING, file_of(tmp_path, FILES[name], name, kind=kind))
    assert found.kept == WANTED
    assert found.rejects == {EMPTY: 1}
    assert found.listed == 3


def test_of_the_worlds_prompts_the_first_of_each_set_are_drawn(tmp_path):
    listed = [{"prompt": f"{kind} {n}", "set": kind} for kind in "ab" for n in range(3)]
    data = "".join(json.dumps(line) + "\n" for line in listed)

    def drawn(kind, count):
        found = prompts(NOTHING, file_of(tmp_path, data, "p.jsonl", kind=kind, count=count))
        return [prompt.text for prompt in found.kept]

    assert drawn("world", 2) == ["a 0", "a 1", "b 0", "b 1"]
    assert drawn("world", 64) == drawn("file", 2) == ["a 0", "a 1", "a 2", "b 0", "b 1", "b 2"]


def test_a_text_file_has_one_prompt_a_line(tmp_path):
    found = prompts(NOTHING, file_of(tmp_path, "\N{BOM}a b\n\nc d\r\n"))
    assert [(p.prompt_id, p.text) for p in found.kept] == [(0, "a b"), (2, "c d")]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.txt", "a\u2028b\x85c\na b\r\n"),
        ("p.jsonl", '{"prompt": "a\u2028b\x85c"}\n{"prompt": "a b"}\r\n'),
        ("p.csv", "prompt\ra\u2028b\x85c\ra b\r"),
        ("p.tsv", "prompt\tx\r\na\u2028b\x85c\t1\r\na b\t2\r\n"),
    ],
)
def test_lines_end_where_they_do_in_a_file_and_not_within_a_prompt(tmp_path, name, data):
    found = prompts(NOTHING, file_of(tmp_path, data, name))
    assert [p.text for p in found.kept] == ["a\u2028b\x85c", "a b"]
    assert not found.rejects


def test_lines_that_cannot_be_read_are_counted(tmp_path):
    lines = [
        '{"prompt": "a b"}', '{"prompt":', '{"prompt": 3}', '["x"]', "[" * 100_000, "9" * 5_000,
        r'{"prompt": "half of a \ud83d pair"}', r'{"prompt": "a whole \ud83d\ude00 one"}',
        r'{"prompt": "a b", "set": "\ud83d"}',
    ]  # fmt: skip
    found = prompts(NOTHING, file_of(tmp_path, "\n".join(lines), "p.jsonl"))
    assert [p.text for p in found.kept] == ["a b", "a whole \N{GRINNING FACE} one"]
    assert found.rejects == {UNREADABLE: 7}


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("p.txt", b"\n\n", "at least one prompt"),
        ("p.docx", b"x", "ends in .txt, .jsonl"),
        ("p.csv", b"caption\na b\n", "no column 'prompt'"),
        ("p.csv", b'prompt\n"never closed\na b\n', "holds no prompts: unexpected end"),
        ("p.csv", b"prompt\n" + b"a" * 2**22, "holds no prompts: field larger"),
        ("p.parquet", b"not parquet", "holds no prompts"),
        ("p.txt", b"\xff\xfe\xff", "holds no prompts"),
    ],
)
def test_a_useless_file_is_one_sentence(tmp_path, name, data, said):
    with pytest.raises(ConfigError, match=said):
        prompts(NOTHING, file_of(tmp_path, data, name))


@pytest.mark.parametrize("name", ["no.txt", "nowhere://no.txt", "a\0b.txt"])
def test_a_missing_file_is_one_sentence(tmp_path, name):
    path = name if "://" in name else str(tmp_path / name)
    with pytest.raises(
        ConfigError, match=r"of sample\.prompts\.path, found (FileNotFound|Value)Error"
    ):
        prompts(NOTHING, PromptSettings(kind="file", path=path))


def test_only_a_users_own_file_is_an_outside_input(tmp_path):
    def outside(data, **how):
        return sample.outside(SampleSettings(prompts=file_of(tmp_path, data, **how)))

    first, second = outside("a b"), outside("a c")
    assert first.keys() == second.keys() == {"prompts"}
    assert first != second
    assert outside("a b", kind="world") == {}


def test_validation_captions_are_distinct_and_in_order(inputs):
    found = prompts(inputs, PromptSettings(kind="validation", count=3))
    assert [p.set for p in found.kept] == ["validation"] * 3
    assert [p.text for p in found.kept] == list(
        dict.fromkeys(row["caption"] for row in tiny_run.clean_rows("val"))
    )[:3]


def test_without_validation_pairs_training_captions_are_drawn_but_not_mirrored_ones(tmp_path):
    captions = {
        "0": "a cat",
        "0#flip": "mirrored: a cat",
        "1": "a dog",
        "1#flip": "mirrored: a dog",
    }
    table = pa.table({"key": [*captions], "caption": [*captions.values()]})
    folder = open_folder(str(tmp_path))
    folder.commit("train/shard-00000.parquet", parquet_bytes(table, {"row_group_size": 4}))
    inputs = Inputs({TOKEN_PAIRS.name: folder})
    found = prompts(inputs, PromptSettings(kind="validation", count=3)).kept
    assert [(one.text, one.set) for one in found] == [("a cat", "training"), ("a dog", "training")]
