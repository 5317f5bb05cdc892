"""A prompt becomes a sheet, the same one every time, from the models of a finished run."""

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infra.store import Store, publish
from pipelines.draw import TextToImage
from pipelines.draw import __main__ as draw
from pipelines.draw.sheet import GAP, sheet
from schemas.artifacts import SAMPLES
from schemas.errors import ArtifactMissing, ConfigError
from schemas.folder import Inputs
from tests import tiny_run

PROMPT = "a small green star"


def test_three_lines_of_python(root, tmp_path):
    pipeline = TextToImage(root)
    pictures = pipeline.draw(PROMPT, n=4)
    pictures[0].image.save(tmp_path / "star.png")
    assert Image.open(tmp_path / "star.png").size == (16, 16)
    assert len(pictures) == 4
    assert [p.rank for p in pictures] == [0, 1, 2, 3]


@pytest.mark.parametrize("n", [1, 3, 7])
def test_candidates_are_the_same_whatever_their_number(pipeline, n):
    many = {p.candidate: p for p in pipeline.draw(PROMPT, n=9)}
    for picture in pipeline.draw(PROMPT, n=n):
        same = many[picture.candidate]
        assert np.array_equal(picture.pixels, same.pixels)
        assert picture.clip_score == same.clip_score


def test_the_sheet_is_the_same_to_the_byte_for_any_n_with_the_same_choice(root, tmp_path, pipeline):
    best = max(p.candidate for p in pipeline.draw(PROMPT, n=12)[:2])
    digests = set()
    for n in (12, 12, best + 1):
        out = tmp_path / f"{len(digests)}.png"
        argv = [PROMPT, "--root", root, "-n", str(n), "--top", "2", "--out", str(out)]
        assert draw.main(argv) == 0
        digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_another_seed_or_prompt_gives_another_sheet(pipeline):
    def drawn(prompt, seed):
        return sheet(pipeline.draw(prompt, n=4, seed=seed)).tobytes()

    assert len({drawn(PROMPT, 0), drawn(PROMPT, 1), drawn("a red ring", 0)}) == 3


def test_the_painter_draws_what_the_sample_stage_drew(pipeline):
    prompt, seed = "a red ring", tiny_run.SAMPLE.seed
    (ranked,) = pipeline.generator.draw([prompt], range(4), seed)
    for picture, drawn in zip(pipeline.draw(prompt, n=4, seed=seed), ranked, strict=True):
        assert np.array_equal(picture.pixels, drawn.pixels)
    assert pipeline.generator.sampling.temperature == tiny_run.SAMPLE.temperature
    assert pipeline.generator.sampler.tile == tiny_run.SAMPLE.tile


def test_pictures_are_ranked_as_the_run_ranked_them(tmp_path, pipeline):
    store = tiny_run.build(tmp_path)
    folder = store.newest(SAMPLES)
    own = Inputs({SAMPLES.name: folder}).manifest(SAMPLES)
    publish(folder, own.model_copy(update={"settings": own.settings | {"rank_by": "likelihood"}}))
    found = TextToImage(tmp_path).draw(PROMPT, n=6)
    likely = [picture.log_likelihood for picture in found]
    assert likely == sorted(likely, reverse=True)
    by_clip = pipeline.draw(PROMPT, n=6)
    assert [p.candidate for p in found] != [p.candidate for p in by_clip]
    assert {p.candidate: p.seed for p in found} == {p.candidate: p.seed for p in by_clip}


def test_the_sheet_shows_enlarged_pictures_in_rows(pipeline):
    image = sheet(pipeline.draw(PROMPT, n=6), columns=4)
    assert image.width == 4 * 256 + 5 * GAP
    picture = pipeline.draw(PROMPT, n=6)[1].pixels
    left, top = GAP + 256 + GAP, GAP
    block = np.asarray(image)[top : top + 256, left : left + 256]
    assert np.array_equal(block[8::16, 8::16], picture)  # whole squares of 16 pixels


def test_a_long_prompt_is_wrapped_and_a_strange_one_survives(pipeline):
    long = sheet(pipeline.draw("word " * 40, n=1))
    short = sheet(pipeline.draw("word", n=1))
    assert long.width == short.width
    assert long.height > short.height
    sheet(pipeline.draw("ein \N{WHITE STAR} 星 <b>", n=1))


def test_the_command_prints_the_path_of_a_picture(root, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert draw.main([PROMPT, "--root", root, "-n", "2", "--top", "1"]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed == "a-small-green-star-0.png"
    sheet = Image.open(io.BytesIO(Path(printed).read_bytes()))
    assert sheet.text["prompt"] == PROMPT


def test_what_no_model_reads_of_a_long_prompt_is_said(root, tmp_path, capsys):
    argv = ["--root", root, "-n", "1", "--top", "1", "--out", str(tmp_path / "a.png")]
    for prompt, sentences in (("red", 0), ("red " * 60, 2)):
        assert draw.main([prompt, *argv]) == 0
        assert capsys.readouterr().err.count("too long") == sentences


def test_a_missing_run_is_one_sentence(tmp_path, capsys):
    assert draw.main([PROMPT, "--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: wanted a run under {tmp_path}, found no summary.json")
    assert len(said.splitlines()) == 1
    with pytest.raises(ArtifactMissing):
        TextToImage(tmp_path)


def test_an_empty_prompt_is_refused_in_python_too(pipeline):
    with pytest.raises(ConfigError, match="say what to draw"):
        pipeline.draw("")


def test_without_samples_the_papers_settings_are_used(tmp_path):
    store = tiny_run.build(tmp_path)
    summary = store.summary()
    stages = {k: v for k, v in summary.stages.items() if k != "sample"}
    store.top.commit("summary.json", type(summary)(stages=stages).model_dump_json().encode())
    assert TextToImage(tmp_path).generator.sampling.temperature == 1.0


def test_no_ray_is_needed(root):
    program = (
        "import sys\nfrom pipelines.draw import TextToImage\n"
        f"TextToImage({root!r}).draw('a red ring', n=1)\n"
        "assert 'ray' not in sys.modules, 'Ray was imported'"
    )
    top = str(Path(__file__).resolve().parents[2])
    subprocess.run(
        [sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONPATH": top}
    )


def test_the_newest_run_decides_which_models(root):
    assert Store(root).newest(tiny_run.PRIOR).url.endswith(tiny_run.fingerprint(tiny_run.PRIOR))
