"""The same evaluation again: the same bytes, also if interrupted; on other threads, nearly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.numpy
import torch

from pipelines.score import picture_files
from pipelines.score.__main__ import main
from tests.pipelines.score import coco
from tests.stages.published import save_clip

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    folder = coco.build(tmp_path_factory.mktemp("again"))
    (folder / "clip").mkdir()
    torch.manual_seed(0)
    save_clip(folder / "clip", text_len=24, projection=8)
    coco.draw(folder / "ours", coco.image_ids())
    (folder / "ours/broken.png").write_bytes(b"no picture")
    words = ["--pictures", folder / "ours", "--captions", folder / "captions_val2014.json",
             "--reference", folder / "val2014", "--features", folder / "clip", "--side",
             coco.SIDE, "--radii", 0, 2, "--infinity", "--out"]  # fmt: skip
    return [str(word) for word in words]


def scored(line, out, *more):
    assert main([*line, str(out), *map(str, more)]) == 0
    return out.read_bytes()


@pytest.fixture(scope="module")
def first(line, tmp_path_factory):
    return scored(line, tmp_path_factory.mktemp("first") / "score.json")


def test_the_same_evaluation_writes_the_same_bytes(line, first, tmp_path):
    assert scored(line, tmp_path / "score.json") == first


def test_other_threads_change_the_seventh_digit_at_most(line, first, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1",
                                "PYTHONPATH": str(ROOT)}  # fmt: skip
    out = tmp_path / "score.json"
    subprocess.run(
        [sys.executable, "-m", "pipelines.score", *line, str(out)], env=environment, check=True,
        capture_output=True, cwd=ROOT,
    )  # fmt: skip
    numbers = [
        [value["value"] for value in json.loads(data)["systems"][0]["values"]]
        for data in (first, out.read_bytes())
    ]
    # a KID near 0 is the difference of kernels that are near 1
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-6, abs=1e-8)


@pytest.fixture
def entries(line, first, tmp_path, monkeypatch):
    """The files of a cache after an evaluation, several for each side and radius."""
    monkeypatch.setattr(picture_files, "FILES_AT_ONCE", 10)
    cache = tmp_path / "cache"
    scored(line, tmp_path / "score.json", "--cache", cache)
    return sorted(cache.rglob("*.safetensors"))


def test_what_is_in_the_cache_is_not_computed_again(line, entries, tmp_path):
    assert len(entries) == 2 * 2 * 3  # sides, radii, batches
    out, cache = tmp_path / "score.json", tmp_path / "cache"
    before = out.read_bytes()
    for entry in entries[::2]:  # it was interrupted
        entry.unlink()
    kept = {entry: entry.stat().st_mtime_ns for entry in entries[1::2]}
    assert scored(line, out, "--cache", cache) == before
    assert sorted(cache.rglob("*.safetensors")) == entries
    assert {entry: entry.stat().st_mtime_ns for entry in kept} == kept
    found = safetensors.numpy.load_file(entries[0])
    found["features"] = found["features"] + 1
    safetensors.numpy.save_file(found, entries[0])
    assert scored(line, out, "--cache", cache) != before  # so the entry was read


def test_a_damaged_entry_is_said_and_computed_again(line, entries, tmp_path, caplog):
    before = (tmp_path / "score.json").read_bytes()
    whole = entries[0].read_bytes()
    entries[0].write_bytes(whole[:-9])
    assert scored(line, tmp_path / "score.json", "--cache", tmp_path / "cache") == before
    assert f"{entries[0].name} is damaged" in caplog.text
    assert entries[0].read_bytes() == whole


def test_other_pictures_and_other_sides_are_other_entries(line, entries, tmp_path):
    scored(line, tmp_path / "other.json", "--cache", tmp_path / "cache", "--side", 24)
    assert len(sorted((tmp_path / "cache").rglob("*.safetensors"))) == 2 * len(entries)
