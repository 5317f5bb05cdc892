"""The report's page as a browser gets it, its curves, and its numbers against those by hand."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.stats import beta

from stages import shapes
from stages.evaluate import charts
from stages.evaluate.checks import checks
from stages.evaluate.page import SECTIONS, Gallery, Shown, ShownPrompt, render
from tests.browser import opened
from tests.stages.reports import BLUE_RING, RED_STAR, judgement, small_report
from tests.stages.test_evaluate_checks import GOOD, HARMED, HELPED, judgements

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
    accuracy, _, by_length, candidates = rows(page)["Combinations seen in training"]
    first, best = between(35, 36), between(30, 36)
    assert accuracy == ["36", "36", "97.2 %", first, "83.3 %", best, "0.0 %"]
    # the gain, -5 of 36, and sqrt((7 - 25 / 36) / 35 / 36)
    assert candidates == [f"97.2 % {first}", f"83.3 % {best}", "-13.9 ± 7.1"]
    assert by_length == ["2", "36", "83.3 %", best, "83.3 %"]
    accuracy, *_, candidates = rows(page)["Combinations never seen in training"]
    assert accuracy[:3] + accuracy[4:5] + accuracy[6:] == ["2", "3", "33.3 %", "66.7 %", "50.0 %"]
    assert candidates[-1].startswith("+33.3 ± ")


def test_what_is_said_is_counted_by_aspect_and_whole(page):
    unseen, seen = rows(page)["the whole prompt"]
    assert seen[:3] + seen[4:] == ["36", "97.2 %", "83.3 %", "0.0 %", ""]
    # of the never-seen: the second favourite shows the star, and a ring too many
    assert unseen[:3] == ["3", "33.3 %", "33.3 %"]
    unseen, seen, judge = rows(page)["there are as many shapes as it says, and no more"]
    assert unseen[:3] == ["3", "66.7 %", "66.7 %"]
    assert judge == ["100.0 %", "100.0 %", "62.5 %", "100.0 %"]


def test_a_cross_names_what_is_not_as_the_prompt_says():
    assert "✗ place<br>count</span>" in small_page()
    assert small_page().count('title="right">✓') == 1


def test_the_tiles_say_it_in_large(page):
    tiles = re.findall(r'<div class="tile"><b>(.*?)</b><span>(.*?)</span>', page)
    assert tiles == [
        ("66.7 %", "right for combinations never seen, best of 2"),
        ("33.3 %", "right without reranking"),
        ("33.3 %", "right in everything the prompt says, best of all"),
        ("50.0 %", "right by chance"),
        ("9", "pairs kept of 12 listed"),
        ("3", "of 128 codes in use"),
        ("16.0 dB", "PSNR of reconstructions"),
    ]
    assert "before this one took 1m01s." in page


def test_where_choosing_harms_the_words_stand_beside_the_curves_too(page):
    words = "Choosing makes seen combinations worse by 13.9 points"
    top, reranking = page.split('<h3 id="reranking">')
    assert words in top
    assert words in reranking
    assert re.search(r"<b>10\.3 ± [\d.]+ points</b> less often than the first", reranking)


def test_what_the_judge_and_the_funnel_counted(page):
    said = text(page)
    assert "100.0 % as the world drew them (90\N{EN DASH}100 %), 50.0 % after the dVAE" in said
    assert "crawl: 12 in, 9 kept" in said
    assert rows(page)["http 404"][0][:2] == ["3", "25.0 %"]
    assert "16.0 dB PSNR; one flat colour per picture would give 15.0 dB" in said
    assert "3 of 128 codes occur; their perplexity, 1.1," in said


def small_page(caption="<script>alert(1)</script>"):
    picture = np.full((16, 16, 3), 128, np.uint8)
    pictures = [Shown(picture, 0.25, ["place", "count"]), Shown(picture, 0.2, [])]
    shown = ShownPrompt(caption, pictures)
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
    assert not tags.seen & {"script", "iframe", "object"}
    assert all(address.startswith(("data:", "#")) for address in tags.addresses)
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
    weak = {check.what for check in small_report().checks if not check.ok}
    assert {"codes in use", "reconstruction over one flat colour"} <= weak
    assert "The codes have collapsed" in small_page()


def test_a_report_without_a_judge_has_no_accuracy_section():
    report = small_report().model_copy(update={"accuracy": None})
    page = render(report.model_copy(update={"checks": checks(report)}), Gallery())
    assert "Does it draw what it is told?" not in page


def test_the_page_opens_on_phones_and_desks_without_errors_or_requests(tmp_path):
    address = f"file://{tmp_path}/index.html"
    (tmp_path / "index.html").write_text(small_page(), encoding="utf-8")
    with opened(tmp_path / "home") as page:
        for width, scheme in ((360, "light"), (360, "dark"), (1400, "light"), (1400, "dark")):
            page.resize(width, 800, scheme)
            page.open(address)
            assert page.ask("document.documentElement.scrollWidth <= innerWidth")
            assert page.errors == []
            assert {url for url in page.requests if not url.startswith("data:")} == {address}
        shown = page.ask("document.body.textContent")
    assert "Does it draw what it is told?" in shown
    assert "alert(1)" in shown  # shown, not run: a dialog would have blocked the page


def test_each_section_names_the_files_that_it_was_measured_on():
    for name in SECTIONS.keys() - {"checks", "stages", "networks"}:
        section = small_page().split(f'<h2 id="{name}">')[1].split("<h2")[0]
        assert section.count('<p class="source">') == 1
        assert ("<code>dvae/0123/" in section) == (name in ("accuracy", "dvae", "training"))


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


def test_a_line_of_one_point_is_a_dot():
    svg = charts.line_chart({"a": [(1, 0.5)], "b": [(1, 0.4), (2, 0.3)]}, "loss")
    assert [svg.count(f'<circle class="line-{n}"') for n in (0, 1)] == [2, 1]  # and the keys'


def test_one_candidate_is_no_curve():
    assert charts.line_chart({"seen": [(1, 0.5)]}, "right", "candidates", doubling=True) == ""
