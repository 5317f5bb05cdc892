"""A run of ours is scored as it stands: its drawings, its prompts, its pictures, its dVAE."""

import math
import shutil

import pyarrow.parquet as pq
import pytest

from infra.store import Store
from pipelines.score.__main__ import main
from pipelines.score.picture_set import open_pictures
from pipelines.score.reconstructed import reconstructed
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
    """The run's prompts of the world, and of seen combinations candidate 2 drawn as it is told."""
    folder = run.newest(SAMPLES)
    (name,) = folder.list("table/")
    rows = pq.read_table(folder.path / name).to_pylist()
    rows = [row for row in rows if shapes.named(row["prompt"])]
    for row in rows:
        if row["candidate"] == 2 and row["set"] == "seen":
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
    prompts_of = sum(one.prompts for one in wanted.values())
    assert [system.best_of for system in found.systems] == [1, 2, 4]
    for system in found.systems:
        right = [one.by_candidates[system.best_of].right * one.prompts for one in wanted.values()]
        assert system.shown.captions == prompts_of
        assert system.shown.right == pytest.approx(sum(right) / prompts_of)
    one, two, four = (system.shown for system in found.systems)
    assert min(four.right, four.whole) >= 1 / 3 > max(one.right, two.right)
    low, high = one.right_interval
    assert low <= one.right <= high < 1
    metrics = {value.metric for system in found.systems for value in system.values}
    assert {"fd", "clip_score", "r_precision"} <= metrics


def test_only_captions_of_the_demos_world_are_judged(root, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(8):
        (pictures / f"{number}.png").write_bytes(
            encode_png(shapes.draw(shapes.scene(1, number), 32))
        )
    lines = [f"{shapes.scene(1, number).caption}\n" for number in range(7)]
    line = ["--pictures", pictures, "--captions", tmp_path / "captions.txt", "--reference", root,
            "--root", root]  # fmt: skip
    (tmp_path / "captions.txt").write_text("".join(lines))
    _, found = score(tmp_path, *line)
    assert (found.systems[0].shown.captions, found.systems[0].shown.whole) == (7, 1)
    (tmp_path / "captions.txt").write_text("".join([*lines, "a cat\n"]))
    _, found = score(tmp_path, *line)
    assert found.systems[0].count == 8
    assert found.systems[0].shown is None


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
    of_ours, of_theirs = ({v.metric: v.value for v in one.values} for one in (ours, theirs))
    # The subsets of KID are of others where pictures come in another order.
    assert of_ours.pop("kid") == pytest.approx(of_theirs.pop("kid"), rel=0.1)
    assert of_ours == pytest.approx(of_theirs)
    assert ours.count == ours.fidelity.pictures == len(rows)
    error = (made - real).double().square().mean().item()
    assert ours.fidelity.psnr_db == pytest.approx(-10 * math.log10(error))
    assert ours.fidelity.ssim == pytest.approx(ssim(made, real).mean().item(), abs=1e-5)
    assert (theirs.fidelity, ours.fidelity.lpips) == (None, None)


def test_each_picture_goes_through_the_dvae_once_however_often_it_is_looked_at(root, tmp_path):
    pictures, kept = tmp_path / "pictures", tmp_path / "kept"
    for folder in (pictures / "below", kept):
        folder.mkdir(parents=True)
    for row in tiny_run.clean_rows("val"):
        (pictures / f"below/{row['key']}.png").write_bytes(row["image"])
    (pictures / "broken.png").write_bytes(b"no picture")
    made, found = reconstructed(
        root, open_pictures(str(pictures), "--reference"), "cpu", None, kept
    )
    shutil.rmtree(pictures)  # so nothing can be made again
    *good, broken = made.names
    assert [decode(made.read(name)).shape for name in good] == [(16, 16, 3)] * found.pictures
    assert (broken, made.read(broken)) == ("broken.png", b"")
