"""The report's numbers by hand, and the page as a reader's browser gets it."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from infra.store import open_folder
from schemas.artifacts import DVAE
from schemas.settings import EvaluateSettings
from stages import evaluate, shapes
from stages.evaluate import charts, intervals
from stages.evaluate.accuracy import Judgement, accuracy, gain, halvings, judged
from stages.evaluate.checks import checks
from stages.evaluate.page import Gallery, Shown, ShownPrompt, render
from stages.evaluate.reading import Candidate, DrawnPrompt, curves
from stages.evaluate.reconstructions import Reconstructions
from stages.pictures import crop_centre, decode, encode_png, to_tensor
from stages.shapes.world import Figure
from stages.weights import load_dvae
from tests import tiny_run
from tests.browser import opened


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # solved by hand: the roots p of (share - p)^2 = z^2 p (1 - p) / n
        (0, 10, 0.0, 0.27753),
        (10, 10, 0.72247, 1.0),
        (170, 200, 0.79394, 0.89286),
        (1, 2, 0.09453, 0.90547),
    ],
)
def test_wilson_interval(successes, trials, low, high):
    assert intervals.wilson(successes, trials) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("successes", "trials"), [(3, 17), (199, 200), (40, 80)])
def test_wilson_bounds_solve_their_equation(successes, trials):
    share = successes / trials
    for bound in intervals.wilson(successes, trials):
        spread = intervals.Z_95**2 * bound * (1 - bound) / trials
        assert (share - bound) ** 2 == pytest.approx(spread, abs=1e-12)


def test_wilson_of_nothing_is_no_knowledge():
    assert intervals.wilson(0, 0) == (0.0, 1.0)


def test_halvings_end_with_all_candidates():
    assert halvings(16) == [1, 2, 4, 8, 16]
    assert halvings(6) == [1, 2, 4, 6]
    assert halvings(1) == [1]


RED_STAR, BLUE_RING = shapes.ShapeKind("red", "star"), shapes.ShapeKind("blue", "ring")


def judgement(prompt, single, best, kind="held_out", score=0.5):
    scores = {1: score - 0.25, 2: score}
    return Judgement(prompt, kind, single, {1: single, 2: best}, scores, {0: single, 1: best})


def test_accuracy_counts_named_shapes_in_their_own_colours():
    found = accuracy(
        [
            judgement("a red star", [], [RED_STAR], score=0.75),
            judgement("a red star", [BLUE_RING], [RED_STAR, BLUE_RING]),  # more than asked is right
            judgement("a blue ring", [BLUE_RING], [shapes.ShapeKind("red", "ring")], score=0.25),
            judgement(
                "a red star and a blue ring", [RED_STAR], [BLUE_RING, RED_STAR], "two_shapes"
            ),
        ]
    )
    held_out = found["held_out"]
    assert held_out["prompts"] == 3
    assert held_out["single"] == pytest.approx(1 / 3)
    assert held_out["reranked"] == pytest.approx(2 / 3)
    assert held_out["combinations"] == 2
    one, two = held_out["by_candidates"]["1"], held_out["by_candidates"]["2"]
    assert one["right"] == pytest.approx(1 / 3)
    assert two["right"] == pytest.approx(2 / 3)
    assert two["right_interval"] == held_out["reranked_interval"]
    assert one["clip_score"] == 0.25
    assert two["clip_score"] == 0.5
    # by prompt: +1, +1, -1, and the first two are of one combination: errors 4/3 and -4/3
    assert held_out["gain"]["share"] == pytest.approx(1 / 3)
    squares = (4 / 3) ** 2 + (4 / 3) ** 2
    assert held_out["gain"]["standard_error"] == pytest.approx(math.sqrt(2 / 1 * squares) / 3)
    # favourites handed to the others: 0 <- 1, 1 <- 0 and 2 <- 1 would be right, of six
    assert held_out["chance"] == pytest.approx(3 / 6)
    assert found["two_shapes"]["single"] == 0
    assert found["two_shapes"]["reranked"] == 1


def drawn_prompt(text, kinds, ranks, side=64):
    """A prompt whose candidate i shows shape kinds[i] and has ranks[i]."""
    ranked = []
    for number, (kind, rank) in enumerate(zip(kinds, ranks, strict=True)):
        figure = Figure(kind, shapes.COLOURS[kind.colour], "large", 0.5, 0.5, 0.25)
        scene = shapes.Scene((figure,), (200, 200, 200), "middle", "", text)
        png = encode_png(shapes.draw(scene, side))
        ranked.append(Candidate(number, seed=number, rank=rank, clip_score=-rank, png=png))
    return DrawnPrompt(0, text, "seen", tuple(sorted(ranked, key=lambda one: one.rank)))


def test_single_is_candidate_zero_and_best_of_n_is_the_favourite_among_the_first_n():
    kinds = [BLUE_RING, RED_STAR, BLUE_RING, RED_STAR]
    seen = judged(drawn_prompt("a red star", kinds, ranks=[3, 1, 2, 0]), shown=0)
    assert seen.single == [BLUE_RING]
    assert seen.best_of == {1: [BLUE_RING], 2: [RED_STAR], 4: [RED_STAR]}
    assert seen.clip_scores == {1: -3, 2: -1, 4: 0}


def test_a_prompt_that_names_nothing_of_the_world_is_not_judged():
    assert judged(drawn_prompt("a cat", [RED_STAR], [0]), shown=1) is None


def test_curves_keep_the_later_of_two_lines_of_a_step():
    log = [
        {"step": 1, "seconds": 0.1, "loss": 3.0},
        {"step": 2, "seconds": 0.2, "loss": 2.0},
        {"step": 2, "seconds": 0.3, "loss": 2.5, "val_loss": math.nan},
    ]
    assert curves(log) == {"loss": [(1, 3.0), (2, 2.5)]}


def test_ticks_are_round_and_inside():
    assert charts.ticks(0, 100) == [0, 50, 100] or charts.ticks(0, 100) == [0, 25, 50, 75, 100]
    assert charts.ticks(0.12, 0.48) == [0.2, 0.3, 0.4]
    assert charts.ticks(3, 3) == [3]


def test_line_chart_puts_the_extremes_at_the_edges():
    svg = charts.line_chart({"train": [(0, 1.0), (10, 3.0)]}, "loss")
    (points,) = re.findall(r'points="([^"]+)"', svg)
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in points.split())
    assert x0 < x1
    assert y0 > y1  # larger is higher up
    assert charts.line_chart({"train": []}, "loss") == ""


def test_counts_that_double_are_equally_far_apart_and_intervals_are_a_band():
    line = [(n, n / 100, n / 200, n / 50) for n in (1, 2, 4, 8)]
    svg = charts.line_chart({"seen": line}, "right", "candidates", doubling=True, percent=True)
    band, points = (
        [tuple(map(float, point.split(","))) for point in found.split()]
        for found in re.findall(r'points="([^"]+)"', svg)
    )
    xs, ys = zip(*points, strict=True)
    assert len(set(np.round(np.diff(xs), 0))) == 1
    assert list(ys) == sorted(ys, reverse=True)
    highs, lows = band[:4], band[:3:-1]
    for (x, high), (_, low), (at, y) in zip(highs, lows, points, strict=True):
        assert x == at
        assert high < y < low  # higher up on the page
    for words in (">1<", ">8<", ">candidates<", "%<", ">seen<"):
        assert words in svg


def test_one_candidate_is_no_curve():
    assert charts.line_chart({"seen": [(1, 0.5)]}, "right", "candidates", doubling=True) == ""


FOUR_RIGHT = [judgement("a red star", [RED_STAR], [RED_STAR]) for _ in range(4)]


def small_report(judgements=FOUR_RIGHT):
    uses = np.array([142, 1, 1] + [0] * 125)
    dvae = {"split": "val"} | Reconstructions(9, [], uses, 16.0, 15.0).figures()
    judge = {
        "pictures": 8, "world": 1.0, "world_interval": [0.9, 1.0],
        "reconstructions": 0.5, "reconstructions_interval": [0.2, 0.8],
    }  # fmt: skip
    example = {"url": "http://127.0.0.1:1/<img src=x onerror=alert(1)>.png", "caption": "a & b"}
    stage = {
        "artifact": "dvae/0123", "settings": {"fit": {"steps": 3}}, "health": {"a": 1},
        "rows_in": 9, "rows_out": 9, "rejects": {}, "seconds": 1.0, "rows_per_second": 9.0,
    }  # fmt: skip
    report = {
        "accuracy": {
            **accuracy(judgements), "gain": gain(judgements), "candidates": 2, "chance": 1.0,
            "judge": judge,
        },
        "dvae": dvae,
        "clip": {
            "r_precision": 0.5, "r_precision_interval": [0.3, 0.7], "pictures": 9, "captions": 9,
            "chance": 1 / 9, "by_luck": 0.3,
        },
        "samples": {"candidates": 2, "prompts": {"held_out": 4}},
        "funnel": [
            {"stage": "crawl", "rows_in": 12, "kept": 9,
             "reasons": [{"reason": "http_404", "rows": 3, "examples": [example]}]},
            {"stage": "filter", "rows_in": 9, "kept": 9, "reasons": []},
            {"stage": "encode", "rows_in": 9, "kept": 9, "reasons": []},
        ],
        "seconds": {"crawl": 61.0},
        "stages": {"train_dvae": stage},
        "versions": {"torch": "2"},
    }  # fmt: skip
    return report | {"checks": checks(report)}


def small_page(caption="<script>alert(1)</script>"):
    picture = np.full((16, 16, 3), 128, np.uint8)
    shown = ShownPrompt(caption, [Shown(picture, 0.25, True)])
    lines = {"loss": [(0.0, 1.0), (1.0, 0.5)], "validation_loss": [(0.0, 0.8), (1.0, 0.6)]}
    gallery = Gallery(
        {"held_out": [shown]}, [(caption, picture, picture)], [5, 0, 1], {"dvae": lines}
    )
    return render(small_report(), gallery)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.addresses = set(), []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]


def test_the_page_needs_no_network():
    tags = Tags()
    tags.feed(small_page())
    assert {"svg", "img", "table"} <= tags.seen
    assert not tags.seen & {"script", "link", "iframe", "object"}
    assert all(address.startswith(("data:image/", "#")) for address in tags.addresses)
    assert "@import" not in small_page()
    assert "url(" not in small_page()


def test_validation_is_drawn_beside_training():
    charts = [svg for svg in small_page().split("<svg")[1:] if ">training<" in svg]
    assert len(charts) == 1
    assert charts[0].count("<polyline") == 2
    assert ">validation<" in charts[0]


def test_captions_and_urls_cannot_become_markup():
    page = small_page()
    assert "<script>" not in page
    assert "onerror=alert" in page  # the text of it is shown
    assert "<img src=x" not in page


def test_a_collapse_is_said_in_words():
    weak = {check["what"] for check in small_report()["checks"] if not check["ok"]}
    assert {"codes in use", "reconstruction over one flat colour"} <= weak
    assert "The codes have collapsed" in small_page()


def test_a_report_without_a_judge_has_no_accuracy_section():
    report = small_report() | {"accuracy": {}}
    page = render(report | {"checks": checks(report)}, Gallery())
    assert "Does it draw what it is told?" not in page


def test_the_page_opens_in_a_browser_without_errors(tmp_path):
    (tmp_path / "index.html").write_text(small_page(), encoding="utf-8")
    with opened(tmp_path / "home") as page:
        page.open(f"file://{tmp_path}/index.html")
        shown = page.ask("document.body.textContent")
    assert "Does it draw what it is told?" in shown
    assert "alert(1)" in shown  # shown, not run: a dialog would have blocked the page


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


def test_the_judge_is_right_about_pictures_of_its_world():
    found = [shapes.judge(shapes.draw(shapes.scene(1, index), 64)) for index in range(50)]
    named = [{figure.kind for figure in shapes.scene(1, index).figures} for index in range(50)]
    assert sum(set(f) == n for f, n in zip(found, named, strict=True)) >= 49


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
    for name in made[1].list():
        with made[1].open(name) as one, again.open(name) as other:
            assert one.read() == other.read(), name


def test_without_a_judge_nothing_is_judged(inputs, tmp_path):
    out = open_folder(tmp_path)
    evaluate.run(inputs, out, EvaluateSettings(pictures=6))
    assert read_report(out)["accuracy"] == {}
