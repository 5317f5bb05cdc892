"""The page in a browser: twenty pairs on a phone and on a desk, interrupted, resumed and saved."""

import json

import pytest

from pipelines.rate import __main__ as rate
from pipelines.rate.answers import read_answers, read_plan
from pipelines.rate.tally import tally
from tests.browser import opened
from tests.pipelines.rate import planted
from tests.pipelines.rate.planted import captions_file, intact, picture_of, pictures, side

PHONE, DESK = (360, 740), (1400, 900)
NAMES = [f"{n:02d}" for n in range(15)]  # and five gold questions
KEYS = {"left": "ArrowLeft", "right": "ArrowRight", "neither": "ArrowDown"}
INTERRUPTED = 7


@pytest.fixture(scope="module")
def rating(tmp_path_factory):
    """A folder with the pages of three raters."""
    top = tmp_path_factory.mktemp("rating")
    pictures(top / "a", NAMES, 1)
    pictures(top / "b", NAMES, 2)
    captions = captions_file(top / "captions.jsonl", NAMES)
    given = ["make", "--system", f"a={top}/a", "--system", f"b={top}/b", "--captions",
             str(captions), "--out", str(top / "out"), "--raters", "3"]  # fmt: skip
    assert rate.main(given) == 0
    return top / "out"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("browser")) as page:
        yield page


def choices(plan, rater, system="a", match="a"):
    """Where to click on each pair of a rater's page: the number, and a side for each question."""
    page = plan.pages[rater - 1]
    by_number = {pair.number: pair for pair in plan.pairs}
    for number in page.pairs:
        pair = by_number[number]
        chosen = [intact(pair) if pair.ruined else picture_of(pair, s) for s in (system, match)]
        yield [side(page, number, picture) for picture in chosen]


def text(page, selector):
    return page.ask(f"document.querySelector('{selector}').textContent")


def is_shown(page, selector):
    return page.ask(f"document.querySelector('{selector}').checkVisibility()")


def by_keys(page, answer):
    for chosen in answer:
        page.press(KEYS[chosen])


def by_clicks(page, answer):
    for question, chosen in zip(("realism", "match"), answer, strict=True):
        page.click(f"#{question} [data-side={chosen}]")


def by_pictures(page, answer):
    for chosen in answer:
        page.click(f"#picture-{chosen}")


def fits(page):
    """All that a rater needs is in view, and nothing is wider than the window."""
    return page.ask(
        "document.documentElement.scrollWidth <= innerWidth && "
        "document.querySelector('.step').getBoundingClientRect().bottom <= innerHeight"
    )


@pytest.mark.parametrize(
    ("rater", "size", "ways"),
    [(1, PHONE, (by_clicks, by_pictures)), (2, DESK, (by_keys, by_clicks))],
    ids=["phone", "desk"],
)
def test_twenty_pairs_are_rated_interrupted_resumed_and_saved(
    rating, browser, tmp_path, rater, size, ways
):
    plan = read_plan(rating)
    address = f"file://{rating}/rater-{rater}.html"
    browser.resize(*size)
    browser.save_to(tmp_path)
    browser.open(address)
    assert text(browser, "#count") == "20 pairs"
    browser.click("#go")
    for number, answer in enumerate(choices(plan, rater)):
        if number == INTERRUPTED:
            browser.open("about:blank")
            browser.open(address)
            assert text(browser, "#go") == "Go on: 7 of 20 answered"
            browser.click("#go")
        assert text(browser, "#place") == f"{number + 1} of 20"
        assert fits(browser)
        ways[number >= INTERRUPTED](browser, answer)
    assert is_shown(browser, "#end")
    browser.click("#save")
    browser.wait_for_download()
    assert "Saved 20 pairs" in text(browser, "#saved")
    assert browser.errors == []
    assert [
        url for url in browser.requests if not url.startswith(("file:", "data:", "blob:"))
    ] == []

    (saved,) = tmp_path.iterdir()
    assert saved.name == f"rating-{plan.identity}-{rater}.json"
    (tmp_path / "plan.json").write_bytes((rating / "plan.json").read_bytes())
    found = tally(plan, read_answers(tmp_path, plan))
    for question in (found.realism, found.match):
        (one,) = question.matchups
        assert (one.for_one, one.for_other) == (15, 0)
    (checked,) = found.raters
    assert (checked.gold_right, checked.gold_asked) == (5, 5)


@pytest.fixture
def third(rating, browser):
    """The third rater's page, begun, with nothing kept from before."""
    browser.resize(*DESK)
    browser.open(f"file://{rating}/rater-3.html")
    browser.ask("localStorage.clear()")
    browser.ask("for (const number in answers) delete answers[number]")
    browser.open(f"file://{rating}/rater-3.html")
    browser.click("#go")
    return browser


def kept(page):
    (key,) = page.ask("Object.keys(localStorage).filter(key => key.endsWith(' 3'))")
    return json.loads(page.ask(f"localStorage.getItem('{key}')"))


def pressed(page, question):
    return page.ask(f"document.querySelector('#{question} [aria-pressed=true]')?.dataset.side")


def test_an_answer_can_be_changed(third):
    by_keys(third, ["left", "neither"])
    by_keys(third, ["left", "left"])
    third.press("Backspace")
    third.press("Backspace")
    assert (pressed(third, "realism"), pressed(third, "match")) == ("left", "neither")
    third.press("ArrowRight")
    assert (pressed(third, "realism"), pressed(third, "match")) == ("right", "neither")
    assert text(third, "#place") == "1 of 20"
    third.press("Enter")
    third.click("#match [data-side=right]")
    assert text(third, "#place") == "3 of 20"
    answers = [[one["realism"], one["match"]] for one in kept(third).values() if "match" in one]
    assert sorted(answers) == [["left", "right"], ["right", "neither"]]


def test_the_second_question_may_be_answered_first_and_half_a_pair_is_kept(rating, third):
    third.click("#match [data-side=neither]")
    assert text(third, "#place") == "1 of 20"
    third.open(f"file://{rating}/rater-3.html")
    third.click("#go")
    assert (pressed(third, "realism"), pressed(third, "match")) == (None, "neither")
    third.press("ArrowDown")  # is no answer to the first question
    assert text(third, "#place") == "1 of 20"
    third.press("ArrowLeft")
    assert text(third, "#place") == "2 of 20"


def test_what_there_is_can_be_saved(rating, third, tmp_path):
    third.save_to(tmp_path)
    by_keys(third, ["left", "left", "right", "right", "left"])
    third.click("#pause")
    third.click("#partly")
    third.wait_for_download()
    plan = read_plan(rating)
    (found,) = read_answers(tmp_path, plan).values()
    assert [(one.realism, one.match) for one in found.answers] == [("left",) * 2, ("right",) * 2]
    assert [one.pair for one in found.answers] == list(plan.pages[2].pairs[:2])
    assert all(0 <= one.seconds < 60 for one in found.answers)


def test_a_browser_that_keeps_nothing_says_so(rating, browser):
    browser.open(f"file://{rating}/rater-3.html")
    browser.ask("Storage.prototype.setItem = () => { throw new Error('full'); }")
    browser.ask("showStart()")
    assert is_shown(browser, "#warning")
    assert not is_shown(browser, "#kept")


def test_the_tally_is_a_page_for_phones_and_desks(browser, tmp_path):
    made = planted.plan(20, systems=("<b>ours</b>", "theirs", "others"), pairs=30)
    ratings = [
        planted.answers(made, rater, lambda pair, question: pair.first) for rater in range(1, 6)
    ]
    planted.write(tmp_path, made, *ratings)
    assert rate.main(["tally", str(tmp_path)]) == 0
    one = tally(made, read_answers(tmp_path, made)).match.matchups[0]
    low, high = (100 * end for end in one.interval)
    row = [one.one, one.other, f"{one.share:.1%}", f"{low:.1f}-{high:.1f}"]
    for size, scheme in ((PHONE, "light"), (DESK, "dark")):
        browser.resize(*size, scheme)
        browser.open(f"file://{tmp_path}/tally.html")
        assert browser.ask("document.documentElement.scrollWidth <= innerWidth")
        cells = browser.ask(
            "[...document.querySelectorAll('table')].map(t => [...t.rows].map(r =>"
            " [...r.cells].map(c => c.textContent)))"
        )
        assert cells[2][1][:4] == row
        assert [len(table) for table in cells] == [4, 4, 4, 4, 6]  # two questions, and raters
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(third, scheme):
    """WCAG 2.1: a contrast of 4.5 for texts, of the page and on the chosen answer."""
    third.resize(*PHONE, scheme)
    by_keys(third, ["left", "left", "left"])  # so that there is a way back, and a chosen answer
    ratio = """selectors => {
        const light = css => {
            const c = css.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
                .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
            return .2126 * c[0] + .7152 * c[1] + .0722 * c[2];
        };
        const behind = e => {
            const css = getComputedStyle(e).backgroundColor;
            return css === "rgba(0, 0, 0, 0)" && e.parentElement ? behind(e.parentElement) : css;
        };
        return selectors.map(s => {
            const e = document.querySelector(s);
            const both = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => a - b);
            return (both[1] + .05) / (both[0] + .05);
        });
    }"""
    words = ["#caption", "#realism legend", "#match legend", "#place", "#match button", "#back",
             "#realism [aria-pressed=true]"]  # fmt: skip
    assert min(third.ask(f"({ratio})({json.dumps(words)})")) >= 4.5
