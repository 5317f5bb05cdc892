"""What is exported is what the scorers of the benchmarks read: names, places, pixels.

The layouts are those that their README files and scorers describe; `layouts.py` names these.
"""

import io
import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from infra.store import Store, open_folder
from pipelines.export_samples import __main__ as export_samples
from schemas.artifacts import SAMPLES
from tests import s3, tiny_run


@pytest.fixture(scope="module")
def drawn(root):
    """The run's pictures by prompt, as plain pyarrow reads them, CLIP's favourite first."""
    folder = tiny_run.folder(Store(root), SAMPLES)
    rows = pq.read_table(folder.path / "table").to_pylist()
    found = {}
    for row in sorted(rows, key=lambda row: (row["prompt_id"], row["rank"])):
        found.setdefault(row["prompt"], []).append(row["png"])
    return found


def exported(to, root, out, *more, code=0):
    line = [to, "--root", str(root), "--out", str(out), *map(str, more)]
    assert export_samples.main(line) == code


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.fixture
def metadata(drawn, tmp_path):
    """As evaluation_metadata.jsonl is: not in the order in which the run drew, and with spaces."""
    lines = [
        json.dumps({"tag": "single_object", "include": [{"class": "bench", "count": n}],
                    "prompt": f" {text}"})
        for n, text in enumerate(reversed(drawn))
    ]  # fmt: skip
    path = tmp_path / "evaluation_metadata.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_geneval_finds_a_folder_for_each_line(root, drawn, metadata, tmp_path, capsys):
    exported("geneval", root, tmp_path / "out", "--prompts", metadata)
    assert "wrote 4 pictures of each of 10 prompts" in capsys.readouterr().out
    out = tmp_path / "out"
    assert files(out) == sorted(
        f"{n:05d}/{name}"
        for n in range(len(drawn))
        for name in ("metadata.jsonl", *(f"samples/{i:04d}.png" for i in range(4)))
    )
    for n, line in enumerate(metadata.read_text().splitlines()):
        folder = out / f"{n:05d}"
        with (folder / "metadata.jsonl").open() as file:  # as the scorer reads it
            about = json.load(file)
        assert about == json.loads(line)
        for i, png in enumerate(drawn[about["prompt"].strip()]):
            assert (folder / f"samples/{i:04d}.png").read_bytes() == png


def test_a_prompt_that_is_asked_for_twice_needs_two_drawings(root, metadata, tmp_path, capsys):
    with metadata.open("a") as file:
        file.write(metadata.read_text().splitlines()[0])
    exported("geneval", root, tmp_path / "out", "--prompts", metadata, code=2)
    assert "wanted pictures of all 11 prompts" in capsys.readouterr().err


@pytest.fixture
def prompt_files(drawn, tmp_path):
    """As dpg_bench/prompts is: a file for each prompt."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    for number, text in enumerate(drawn):
        (folder / f"partiprompts{number}.txt").write_text(f"{text}\n")
    (folder / "README.md").write_text("no prompt")
    return folder


def test_dpg_bench_cuts_the_pictures_out_of_a_grid(root, drawn, prompt_files, tmp_path):
    exported("dpg", root, tmp_path / "out", "--prompts", prompt_files)
    out = tmp_path / "out"
    assert files(out) == sorted(f"partiprompts{n}.png" for n in range(len(drawn)))
    side = tiny_run.TOKENS.side
    for number, pictures in enumerate(drawn.values()):
        with Image.open(out / f"partiprompts{number}.png") as grid:
            assert grid.size == (2 * side, 2 * side)
            corners = [(0, 0), (side, 0), (0, side), (side, side)]
            for (x, y), png in zip(corners, pictures, strict=True):
                found = np.asarray(grid.crop((x, y, x + side, y + side)))
                np.testing.assert_array_equal(found, pixels(png))


def test_dpg_bench_takes_one_picture_without_a_grid(root, drawn, prompt_files, tmp_path):
    exported("dpg", root, tmp_path / "out", "--prompts", prompt_files, "--pictures", 1)
    for number, pictures in enumerate(drawn.values()):
        found = (tmp_path / f"out/partiprompts{number}.png").read_bytes()
        np.testing.assert_array_equal(pixels(found), pixels(pictures[0]))


@pytest.fixture
def colours(drawn, tmp_path):
    """As T2I-CompBench's files are: a prompt a line, some with more behind a tab."""
    path = tmp_path / "color_val.txt"
    path.write_text("".join(f"{text}\tseen\n" for text in reversed(drawn)))
    return path


def test_t2i_compbench_reads_prompts_from_names_that_are_numbered(root, drawn, colours, tmp_path):
    exported("t2i-compbench", root, tmp_path / "out", "--prompts", colours, "--pictures", 3)
    out = tmp_path / "out/samples"
    assert files(tmp_path / "out") == sorted(f"samples/{path.name}" for path in out.iterdir())
    names = sorted(out.iterdir(), key=lambda path: int(path.name.split("_")[-1].split(".")[0]))
    asked = [line.split("\t")[0] for line in colours.read_text().splitlines()]
    assert [path.name for path in names] == [
        f"{text}_{3 * n + i:06d}.png" for n, text in enumerate(asked) for i in range(3)
    ]
    for n, path in enumerate(names):
        text = path.name.split("_")[0]
        assert path.read_bytes() == drawn[text][n % 3]


def test_the_prompts_are_those_that_the_run_drew_if_none_are_named(run, metadata, tmp_path):
    with (tiny_run.folder(run, SAMPLES).path / "manifest.json").open("r+") as file:
        manifest = json.load(file)
        manifest["settings"]["prompts"] |= {"kind": "file", "path": str(metadata)}
        file.seek(0)
        json.dump(manifest, file)
        file.truncate()
    exported("geneval", run.root, tmp_path / "out", "--pictures", 1)
    exported("geneval", run.root, tmp_path / "same", "--pictures", 1, "--prompts", metadata)
    assert files(tmp_path / "out") == files(tmp_path / "same")


def test_an_object_store_gets_the_same_files(root, metadata, tmp_path):
    with s3.served("benchmark") as bucket:
        exported("geneval", root, f"{bucket}/out", "--prompts", metadata)
        exported("geneval", root, tmp_path / "out", "--prompts", metadata)
        assert open_folder(f"{bucket}/out").list() == files(tmp_path / "out")


def refused(capsys, said, to, root, out, *more):
    exported(to, root, out, *more, code=2)
    error = capsys.readouterr().err
    assert re.match(rf"error: .*{said}", error), error
    assert error.count("\n") == 1
    assert not [path for path in out.rglob("*") if path.is_file()]


def test_a_prompt_that_was_not_drawn_is_named_and_nothing_is_left(root, metadata, tmp_path, capsys):
    with metadata.open("a") as file:
        file.write('{"tag": "counting", "prompt": "a photo of two clocks"}\n')
    refused(
        capsys, "wanted pictures of all 11 prompts .* none of 1 .*'a photo of two clocks'; draw",
        "geneval", root, tmp_path / "out", "--prompts", metadata,
    )  # fmt: skip


def test_more_pictures_than_were_drawn_is_one_sentence(root, colours, tmp_path, capsys):
    refused(
        capsys, "wanted 10 pictures of each prompt, found 4 of .*sample.candidates",
        "t2i-compbench", root, tmp_path / "out", "--prompts", colours,
    )  # fmt: skip


@pytest.mark.parametrize(("to", "count"), [("dpg", 5), ("dpg", 0), ("geneval", 0)])
def test_a_number_that_no_scorer_takes_is_one_sentence(to, count, root, tmp_path, capsys):
    refused(capsys, f"--pictures wants .*, found {count}", to, root, tmp_path / "out",
            "--prompts", tmp_path, "--pictures", count)  # fmt: skip


@pytest.mark.parametrize(
    "line", ["a red star", '{"prompt": "a red star"}', '["tag"]', '{"tag": 1}']
)
def test_what_is_no_line_of_geneval_is_one_sentence(line, root, tmp_path, capsys):
    path = tmp_path / "mine.jsonl"
    path.write_text(line)
    refused(capsys, "wanted GenEval's evaluation_metadata.jsonl, .* in line 1 of",
            "geneval", root, tmp_path / "out", "--prompts", path)  # fmt: skip


def test_a_prompt_that_no_name_can_hold_is_one_sentence(root, tmp_path, capsys):
    path = tmp_path / "mine.txt"
    for text in ("black and/or white", "snake_case", "long " * 60):
        path.write_text(f"a red star\n{text}\n")
        refused(capsys, "wanted prompts without '_' and '/'", "t2i-compbench", root,
                tmp_path / "out", "--prompts", path)  # fmt: skip


def test_missing_prompts_are_one_sentence(root, tmp_path, capsys):
    out = tmp_path / "out"
    refused(capsys, "wanted the prompts of GenEval, .* with --prompts", "geneval", root, out)
    refused(capsys, "wanted a folder of prompts, .* no .txt files", "dpg", root, out,
            "--prompts", tmp_path)  # fmt: skip
    refused(capsys, "wanted to look into .* of --prompts", "geneval", root, out,
            "--prompts", tmp_path / "nothing.jsonl")  # fmt: skip
    refused(capsys, "wanted a run", "geneval", tmp_path, out, "--prompts", tmp_path)
