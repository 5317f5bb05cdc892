"""A run of ours is scored as it stands: its drawings, its prompts, its pictures, its dVAE."""

import math

import pyarrow.parquet as pq
import pytest

from infra.store import Store
from pipelines.score.__main__ import main
from pipelines.score.score_file import ScoreFile
from schemas.artifacts import SAMPLES
from stages import shapes, weights
from stages.evaluate.accuracy import accuracy
from stages.evaluate.judgements import judged
from stages.evaluate.reading import prompts
from stages.models.fidelity import ssim
from stages.pictures import crop_centre, decode, encode_png
from stages.pictures.tensors import from_tensor, to_tensor
from tests import tiny_run


@pytest.fixture
def drawn(run):
    """The run's prompts of the world, and candidate 2 of each drawn as it is told."""
    folder = run.newest(SAMPLES)
    (name,) = folder.list("table/")
    rows = pq.read_table(folder.path / name).to_pylist()
    rows = [row for row in rows if shapes.named(row["prompt"])]
    for row in rows:
        if row["candidate"] == 2:
            row["png"] = encode_png(shapes.draw(picture_of(row["prompt"]), 64))
            row["clip_score"] = 2.0  # CLIP's favourite as soon as it may be chosen
    for row in rows:
        better = [r for r in rows if r["prompt_id"] == row["prompt_id"]]
        better.sort(key=lambda one: -one["clip_score"])
        row["rank"] = better.index(row)
    tiny_run.table(run, SAMPLES, name, rows, pq.read_schema(folder.path / name))
    return run


def picture_of(prompt):
    """The first scene of the world that shows what a prompt says."""
    wanted = shapes.atoms(prompt)
    scenes = (shapes.scene(9, index) for index in range(20_000))
    return next(s for s in scenes if all(atom.holds(shapes.shown(s)) for atom in wanted))


def score(tmp_path, *line):
    out = tmp_path / "score.json"
    code = main([*map(str, line), "--out", str(out), "--radii", "0", "--side", "16"])
    return code, ScoreFile.model_validate_json(out.read_bytes())


def test_a_run_is_right_as_often_as_its_report_says_for_each_number_of_candidates(drawn, tmp_path):
    root = drawn.root
    line = ["--pictures", f"ours={root}", "--reference", root, "--root", root]
    code, found = score(tmp_path, *line, "--best-of", 1, 2, 4)
    assert code == 0
    assert (found.captions.format, found.reference.name) == ("a run's prompts", "run")
    wanted = accuracy(
        [
            judgement
            for prompt in prompts(tiny_run.inputs(drawn))
            if (judgement := judged(prompt, 0)) is not None
        ]
    )
    prompts_of = sum(one["prompts"] for one in wanted.values())
    assert [system.best_of for system in found.systems] == [1, 2, 4]
    for system in found.systems:
        right = [
            one["by_candidates"][str(system.best_of)]["right"] * one["prompts"]
            for one in wanted.values()
        ]
        assert system.shown.captions == prompts_of
        assert system.shown.right == pytest.approx(sum(right) / prompts_of)
    one, two, four = (system.shown for system in found.systems)
    assert four.right > max(one.right, two.right)
    assert four.right == four.whole == 1
    low, high = one.right_interval
    assert low <= one.right <= high < 1
    metrics = {value.metric for system in found.systems for value in system.values}
    assert {"fd", "clip_score", "r_precision"} <= metrics


def test_captions_of_another_world_are_not_judged(drawn, tmp_path):
    texts = {one.prompt_id: one.text for one in prompts(tiny_run.inputs(drawn))}
    (tmp_path / "prompts.txt").write_text("".join(f"{text}\n" for text in texts.values()))
    line = ["--pictures", f"ours={drawn.root}", "--reference", drawn.root, "--root", drawn.root]
    _, found = score(tmp_path, *line, "--captions", tmp_path / "prompts.txt")
    assert found.systems[0].shown is not None
    with (tmp_path / "prompts.txt").open("a") as file:
        file.write("a cat\n")
    _, found = score(tmp_path, *line, "--captions", tmp_path / "prompts.txt")
    assert found.systems[0].shown is not None  # of a cat there is no picture
    assert "no_picture" in {one.kind for one in found.systems[0].problems}


def test_the_distance_of_reconstructions_is_that_of_the_pictures_that_the_dvae_makes(
    root, tmp_path
):
    dvae = weights.load_dvae(tiny_run.folder(Store(root), tiny_run.DVAE))
    (tmp_path / "made").mkdir()
    rows = tiny_run.clean_rows("val")
    real = to_tensor([crop_centre(decode(row["image"]), tiny_run.TOKENS.side) for row in rows])
    made = dvae.decode(dvae.codes(real))
    for row, pixels in zip(rows, from_tensor(made), strict=True):
        (tmp_path / f"made/{row['key']}.png").write_bytes(encode_png(pixels))
    line = ["--reference", root, "--root", root]
    code, found = score(tmp_path, *line, "--reconstruct", root)
    assert code == 0
    _, wanted = score(tmp_path, *line, "--pictures", f"made={tmp_path / 'made'}")
    (ours,), (theirs,) = found.systems, wanted.systems
    assert ours.name == f"dVAE of {root.rpartition('/')[2]}"
    assert [v.value for v in ours.values] == [pytest.approx(v.value) for v in theirs.values]
    assert ours.count == ours.fidelity.pictures == len(rows)
    error = (made - real).double().square().mean().item()
    assert ours.fidelity.psnr_db == pytest.approx(-10 * math.log10(error))
    assert ours.fidelity.ssim == pytest.approx(ssim(made, real).mean().item(), abs=1e-5)
    assert (theirs.fidelity, ours.fidelity.lpips) == (None, None)
