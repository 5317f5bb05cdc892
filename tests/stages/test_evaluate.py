"""The report of a finished run: what it counts, and that it is made again to the byte."""

import math

import numpy as np
import pytest
import torch

from infra.store import open_folder
from schemas.artifacts import DVAE
from schemas.run_report import read_report
from schemas.run_report.stages_part import LostRow
from schemas.settings import EvaluateSettings
from stages import evaluate
from stages.evaluate.reading import curves
from stages.pictures import crop_centre, decode
from stages.pictures.tensors import to_tensor
from stages.weights import load_dvae
from tests import tiny_run
from tests.stages.finished import contents


def test_curves_keep_the_later_of_two_lines_of_a_step():
    log = [
        {"step": 1, "seconds": 0.1, "loss": 3.0},
        {"step": 2, "seconds": 0.2, "loss": 2.0},
        {"step": 2, "seconds": 0.3, "loss": 2.5, "val_loss": math.nan},
    ]
    assert curves(log) == {"loss": [(1, 3.0), (2, 2.5)]}


@pytest.fixture(scope="module")
def made(inputs, tmp_path_factory):
    out = open_folder(tmp_path_factory.mktemp("report"))
    return evaluate.run(inputs, out, EvaluateSettings(judge="shapes", pictures=6)), out


def test_what_the_report_says_of_the_run(made):
    report = read_report(made[1])
    sets = report.accuracy.sets
    assert sets.keys() == {"held_out", "seen", "two_shapes"}  # "validation" names no shape
    for of in sets.values():
        assert 0 <= of.single_interval[0] <= of.single <= of.single_interval[1] <= 1
        assert 0 <= of.reranked_interval[0] <= of.reranked <= of.reranked_interval[1] <= 1
        assert of.prompts == 3
    assert report.accuracy.chance == sets["held_out"].chance
    assert report.accuracy.judge.pictures == 12
    assert report.accuracy.judge.by_aspect.keys() == {"world", "reconstructions"}
    two = sets["two_shapes"]
    assert {"shape", "count"} <= two.by_aspect.keys() <= {"shape", "relation", "count"}
    assert sum(row.prompts for row in two.by_length.values()) == 3
    assert two.whole.reranked <= two.reranked
    assert report.dvae.pictures == 6
    assert 0 <= report.clip.r_precision <= 1
    assert report.seconds["crawl"] == 1.5
    assert report.samples.candidates == 4
    assert report.samples.prompts == {"held_out": 3, "seen": 3, "two_shapes": 3, "validation": 1}


def test_thumbnails_look_for_copies_and_the_runs_own_clip_measures_distances(made):
    thumbnails, found = read_report(made[1]).networks
    assert (thumbnails.network.name, thumbnails.distances) == ("thumbnail:16x16", {})
    assert (found.network.name, found.copies) == ("clip:of-the-run", None)
    assert {"training", "reconstructions", "nearest", "first", "favourite"} == set(found.distances)
    assert {one.at_count.count for one in found.distances.values()} == {6}  # of the held-out ones
    copies = thumbnails.copies
    assert copies.training_pictures == tiny_run.SIZES["train"]
    assert (copies.held_out_pictures, copies.drawings) == (6, 10)


def test_the_funnel_counts_each_row_once(made):
    crawl, filtered, encode = read_report(made[1]).funnel
    assert (crawl.rows_in, crawl.kept) == (35, 33)
    assert (filtered.rows_in, filtered.kept) == (33, 32)
    assert (encode.rows_in, encode.kept) == (32, 32)
    (lost,) = crawl.reasons
    assert (lost.reason, lost.rows, len(lost.examples)) == ("http_404", 2, 2)
    assert lost.examples[0].detail == "HTTP Error 404: Not Found"
    (short,) = filtered.reasons
    assert (short.reason, short.rows_in, short.rows) == ("too_short", 33, 1)
    assert short.examples == (LostRow(key="d", url="u", caption="x"),)


def test_dvae_figures_are_those_of_the_pictures_by_hand(made, inputs):
    dvae = load_dvae(inputs.folder(DVAE))
    pixels = to_tensor(
        [crop_centre(decode(r["image"]), 16) for r in tiny_run.clean_rows("val")[:6]]
    )
    with torch.inference_mode():
        codes = dvae.codes(pixels)
        mse = ((dvae.decode(codes) - pixels) ** 2).mean().item()
    found = read_report(made[1]).dvae
    assert found.psnr_db == pytest.approx(-10 * math.log10(mse), abs=1e-4)
    assert found.codes_used == len(codes.unique())
    shares = np.unique(codes, return_counts=True)[1] / codes.numel()
    assert found.perplexity == pytest.approx(np.prod(shares**-shares))


def test_pages_and_sheets_are_committed(made):
    result, out = made
    assert result.rows_out == 1
    assert {f"sheets/{name}.png" for name in ("held_out", "reconstructions", "validation")} <= set(
        out.list("sheets/")
    )
    with out.open("index.html") as file:
        page = file.read().decode()
    # originals with reconstructions, drawings, drawings with training pictures
    assert page.count("data:image/png") == 6 * 2 + 10 * 4 + 8 * 2
    assert "something of another world" in page


def test_the_report_is_made_again_to_the_byte(made, inputs, tmp_path):
    again = open_folder(tmp_path)
    assert evaluate.run(inputs, again, EvaluateSettings(judge="shapes", pictures=6)) == made[0]
    assert contents(again) == contents(made[1])


def test_without_a_judge_nothing_is_judged(inputs, tmp_path):
    out = open_folder(tmp_path)
    evaluate.run(inputs, out, EvaluateSettings(pictures=6))
    assert read_report(out).accuracy is None
