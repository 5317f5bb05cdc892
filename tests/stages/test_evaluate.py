"""The report of a finished run: what it counts, and that it is made again to the byte."""

import json
import math

import numpy as np
import pytest
import torch

from infra.store import open_folder
from schemas.artifacts import DVAE
from schemas.settings import EvaluateSettings
from stages import evaluate
from stages.evaluate.reading import curves
from stages.pictures import crop_centre, decode
from stages.pictures.tensors import to_tensor
from stages.weights import load_dvae
from tests import tiny_run
from tests.stages.finished import contents
from tests.stages.reports import small_report


def test_curves_keep_the_later_of_two_lines_of_a_step():
    log = [
        {"step": 1, "seconds": 0.1, "loss": 3.0},
        {"step": 2, "seconds": 0.2, "loss": 2.0},
        {"step": 2, "seconds": 0.3, "loss": 2.5, "val_loss": math.nan},
    ]
    assert curves(log) == {"loss": [(1, 3.0), (2, 2.5)]}


def test_the_report_is_plain_json():
    assert json.loads(json.dumps(small_report(), allow_nan=False))["dvae"]["codes_used"] == 3


@pytest.fixture(scope="module")
def made(inputs, tmp_path_factory):
    out = open_folder(tmp_path_factory.mktemp("report"))
    return evaluate.run(inputs, out, EvaluateSettings(judge="shapes", pictures=6)), out


def read_report(out):
    with out.open("report.json") as file:
        return json.loads(file.read())


def test_report_has_the_promised_keys(made):
    report = read_report(made[1])
    for kind in ("held_out", "seen", "two_shapes"):
        for name in ("single", "reranked"):
            low, high = report["accuracy"][kind][f"{name}_interval"]
            assert 0 <= low <= report["accuracy"][kind][name] <= high <= 1
        assert report["accuracy"][kind]["prompts"] == 3
    assert "validation" not in report["accuracy"]  # names no shape, so nothing to be right about
    assert report["accuracy"]["chance"] == report["accuracy"]["held_out"]["chance"]
    assert report["accuracy"]["judge"]["pictures"] == 12
    assert {"world", "reconstructions"} <= report["accuracy"]["judge"].keys()
    assert report["accuracy"]["judge"]["by_aspect"].keys() == {"world", "reconstructions"}
    two = report["accuracy"]["two_shapes"]
    assert {"shape", "count"} <= two["by_aspect"].keys() <= {"shape", "relation", "count"}
    assert sum(row["prompts"] for row in two["by_length"].values()) == 3
    assert two["whole"]["reranked"] <= two["reranked"]
    assert report["dvae"]["pictures"] == 6
    assert {"codes_used", "perplexity", "psnr_db", "mean_colour_psnr_db"} <= report["dvae"].keys()
    assert 0 <= report["clip"]["r_precision"] <= 1
    assert report["seconds"]["crawl"] == 1.5
    assert report["samples"] == {
        "candidates": 4,
        "prompts": {"held_out": 3, "seen": 3, "two_shapes": 3, "validation": 1},
    }


def test_the_funnel_counts_each_row_once(made):
    crawl, filtered, encode = read_report(made[1])["funnel"]
    assert (crawl["rows_in"], crawl["kept"]) == (35, 33)
    assert (filtered["rows_in"], filtered["kept"]) == (33, 32)
    assert (encode["rows_in"], encode["kept"]) == (32, 32)
    (lost,) = crawl["reasons"]
    assert (lost["reason"], lost["rows"], len(lost["examples"])) == ("http_404", 2, 2)
    assert lost["examples"][0]["detail"] == "HTTP Error 404: Not Found"
    (short,) = filtered["reasons"]
    assert (short["reason"], short["rows_in"], short["rows"]) == ("too_short", 33, 1)
    assert short["examples"] == [{"key": "d", "url": "u", "caption": "x"}]


def test_dvae_figures_are_those_of_the_pictures_by_hand(made, inputs):
    dvae = load_dvae(inputs.folder(DVAE))
    pixels = to_tensor(
        [crop_centre(decode(r["image"]), 16) for r in tiny_run.clean_rows("val")[:6]]
    )
    with torch.inference_mode():
        codes = dvae.codes(pixels)
        mse = ((dvae.decode(codes) - pixels) ** 2).mean().item()
    dvae = read_report(made[1])["dvae"]
    assert dvae["psnr_db"] == pytest.approx(-10 * math.log10(mse), abs=1e-4)
    assert dvae["codes_used"] == len(codes.unique())
    shares = np.unique(codes, return_counts=True)[1] / codes.numel()
    assert dvae["perplexity"] == pytest.approx(np.prod(shares**-shares))


def test_pages_and_sheets_are_committed(made):
    result, out = made
    assert result.rows_out == 1
    assert {f"sheets/{name}.png" for name in ("held_out", "reconstructions", "validation")} <= set(
        out.list("sheets/")
    )
    with out.open("index.html") as file:
        page = file.read().decode()
    assert page.count("data:image/png") == 6 * 2 + 10 * 4  # originals, reconstructions, drawn
    assert "something of another world" in page


def test_the_report_is_made_again_to_the_byte(made, inputs, tmp_path):
    again = open_folder(tmp_path)
    assert evaluate.run(inputs, again, EvaluateSettings(judge="shapes", pictures=6)) == made[0]
    assert contents(again) == contents(made[1])


def test_without_a_judge_nothing_is_judged(inputs, tmp_path):
    out = open_folder(tmp_path)
    evaluate.run(inputs, out, EvaluateSettings(pictures=6))
    assert read_report(out)["accuracy"] == {}
