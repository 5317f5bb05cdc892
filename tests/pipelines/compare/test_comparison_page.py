"""The page in a browser: on a phone and on a desk, dark and light; its charts and its text."""

import re

import pytest

from pipelines.compare.compared_runs import read_runs
from pipelines.compare.comparison_page import overlaid
from tests.browser import opened

PHONE, DESK = (360, 740), (1400, 900)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.mark.parametrize("size", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_any_window_and_asks_for_nothing(browser, page, size, scheme):
    browser.resize(*size, scheme)
    address = f"file://{page}"
    browser.open(address)
    assert browser.ask("document.documentElement.scrollWidth") <= size[0]
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [address]
    paper, ink = browser.ask(
        "['background-color', 'color'].map(n => getComputedStyle(document.body)[n])"
    )
    brightness = [sum(map(int, re.findall(r"\d+", colour))) for colour in (paper, ink)]
    assert (brightness[0] > brightness[1]) == (scheme == "light")
    broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).length"
    assert browser.ask(broken) == 0


def test_what_reports_say_cannot_become_markup(browser, page):
    assert "<img src=x" not in page.read_text()
    browser.open(f"file://{page}")
    assert "onerror=alert(1)" in browser.ask("document.body.textContent")


def test_curves_of_all_runs_are_in_one_chart(one, other):
    training = overlaid(read_runs([one, other]))
    assert [name for name, _, _ in training] == ["dvae", "prior", "clip"]
    _, learned, _ = training[1]
    assert all(chart.count("<polyline") == 2 for chart in learned)
    assert all(f">{letter}</text>" in chart for chart in learned for letter in "AB")
    assert ">loss</text>" in learned[0] + learned[1]
    (alone, *_) = overlaid(read_runs([one, other])[:1])[0][1]
    assert alone.count("<polyline") == 1
