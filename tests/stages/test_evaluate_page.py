"""The numbers on the report's page, read back from its tables, against those counted by hand."""

import re

import pytest
from scipy.stats import beta

from stages import shapes
from stages.evaluate.page import Gallery, render
from tests.stages.test_evaluate import judgement, small_report
from tests.stages.test_evaluate_checks import GOOD, HARMED, HELPED, judgements

RED_STAR, BLUE_RING = shapes.ShapeKind("red", "star"), shapes.ShapeKind("blue", "ring")
# Seen: 35 of 36 first pictures are right, of the favourites 30. Held out: 1 of 3, and 2.
JUDGEMENTS = [
    *judgements(*[HARMED] * 6, HELPED, *[GOOD] * 29),
    judgement("a red star", [], [RED_STAR]),
    judgement("a red star", [BLUE_RING], [RED_STAR, BLUE_RING]),
    judgement("a blue ring", [BLUE_RING], [shapes.ShapeKind("red", "ring")]),
]


@pytest.fixture(scope="module")
def page():
    return render(small_report(JUDGEMENTS), Gallery()).replace("\N{NO-BREAK SPACE}", " ")


def text(html):
    return " ".join(re.sub("<[^>]+>", " ", html).split())


def rows(page):
    """Return the texts of each row of each table, by the first of them and in their order."""
    found = {}
    for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL):
        first, *others = map(text, re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL))
        found.setdefault(first, []).append(others)
    return found


def between(right, prompts):
    """Return the interval of a share of prompts that all differ (Bayes 1763), as it is written."""
    low, high = beta.ppf([0.025, 0.975], right + 1, prompts - right + 1)
    return f"{100 * low:.0f}\N{EN DASH}{100 * high:.0f} %"


def test_shares_and_intervals_of_a_set_of_prompts(page):
    accuracy, candidates = rows(page)["Combinations seen in training"]
    first, best = between(35, 36), between(30, 36)
    assert accuracy == ["36", "36", "97.2 %", first, "83.3 %", best, "0.0 %"]
    # the gain, -5 of 36, and sqrt((7 - 25 / 36) / 35 / 36)
    assert candidates == [f"97.2 % {first}", f"83.3 % {best}", "-13.9 ± 7.1"]
    accuracy, candidates = rows(page)["Combinations never seen in training"]
    assert accuracy[:3] + accuracy[4:5] + accuracy[6:] == ["2", "3", "33.3 %", "66.7 %", "50.0 %"]
    assert candidates[-1].startswith("+33.3 ± ")


def test_the_tiles_say_it_in_large(page):
    tiles = re.findall(r'<div class="tile"><b>(.*?)</b><span>(.*?)</span>', page)
    assert tiles == [
        ("66.7 %", "right for combinations never seen, best of 2"),
        ("33.3 %", "right without reranking"),
        ("50.0 %", "by chance"),
        ("9", "pairs kept of 12 listed"),
        ("3", "of 128 codes in use"),
        ("16.0 dB", "PSNR of reconstructions"),
    ]
    assert "before this one took 1m01s." in page


def test_where_choosing_harms_the_words_stand_beside_the_curves_too(page):
    words = "Choosing with CLIP makes seen combinations worse by 13.9 points"
    top, reranking = page.split('<h3 id="reranking">')
    assert words in top
    assert words in reranking
    assert re.search(r"<b>10\.3 ± [\d.]+ points</b> fewer of the prompts", reranking)


def test_what_the_judge_and_the_funnel_counted(page):
    said = text(page)
    assert "100.0 % as the world drew them (90\N{EN DASH}100 %), 50.0 % after the dVAE" in said
    assert "crawl: 12 in, 9 kept" in said
    assert rows(page)["http 404"][0][:2] == ["3", "25.0 %"]
    assert "16.0 dB PSNR; one flat colour per picture would give 15.0 dB" in said
    assert "3 of 128 codes occur; their perplexity, 1.5," in said
