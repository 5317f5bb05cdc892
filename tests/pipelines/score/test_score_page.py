"""The page of an evaluation: what a terminal shows and the curves, in one file without requests."""

import pytest

from pipelines.score.problems import Problem
from pipelines.score.published_rows import published
from pipelines.score.score_file import (
    Captions,
    ReferenceSide,
    ScoreFile,
    ShownShapes,
    System,
    programs,
)
from pipelines.score.score_page import render_scores
from stages.metrics.reported import FeatureNetwork, ReferenceSet, Reported, Resize
from tests.browser import opened

RADII = (0.0, 1.0, 2.0, 4.0, 8.0)
NETWORK = FeatureNetwork(name="inception-v3-fid", sha256="1" * 64)


def value(metric, number, *, count=12_345, interval=None, **parameters):
    return Reported(
        metric=metric,
        value=number,
        interval=interval,
        network=NETWORK,
        reference=ReferenceSet(name="val2014", sha256="2" * 64, count=40_504),
        resize=Resize(method="bicubic", antialias=True, side=299),
        count=count,
        depends_on_count=True,
        parameters={"pictures": "centre square", "convention": "clean", **parameters},
    )


def system(name, best_of, at, count=12_345):
    radius_values = [
        value(metric, scale * at * (1 + radius), blur_radius=radius, count=count)
        for metric, scale in (("fid", 1), ("inception_score", 0.5))
        for radius in RADII
    ]
    found = value("r_precision", 0.5 + at / 200, interval=(0.4, 0.9), count=count)
    return System(
        name=name,
        pictures=name,
        sha256="3" * 64,
        count=count,
        best_of=best_of,
        called="NAME/0.png, NAME is <b>the picture's id",
        problems=(),
        values=(*radius_values, value("kid", at / 9_000, count=count), found),
        shown=ShownShapes(
            captions=90,
            right=at / 40,
            right_interval=(at / 50, at / 39),
            whole=at / 80,
            whole_interval=(at / 90, at / 70),
        ),
    )


def score_file(*systems):
    return ScoreFile(
        made_with=programs(),
        side=256,
        radii=RADII,
        captions=Captions(
            name="captions_val2014.json",
            sha256="4" * 64,
            format="MS-COCO",
            listed=202_654,
            chosen=30_000,
            seed=0,
            problems=(Problem(kind="empty_caption", count=2, examples=("<b>1", "2")),),
        ),
        reference=ReferenceSide(name="val2014", problems=(), overlap=None),
        systems=systems,
        published=published("MS-COCO"),
    )


@pytest.fixture(scope="module")
def page():
    ours = [system("ours", best_of, 30 - best_of / 8) for best_of in (1, 8, 64)]
    found = score_file(*ours, system("a<script>gan", 1, 38, count=900))
    return render_scores(found, {"runs/earlier.json": score_file(system("ours", 1, 35))})


@pytest.fixture(scope="module")
def browser(tmp_path_factory, page):
    folder = tmp_path_factory.mktemp("page")
    (folder / "score.html").write_text(page, encoding="utf-8")
    with opened(folder / "home") as opened_page:
        yield opened_page, f"file://{folder}/score.html"


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_errors_or_requests_and_fits(browser, width, scheme):
    page, address = browser
    page.resize(width, 900, scheme)
    page.open(address)
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    assert page.ask("document.documentElement.scrollWidth <= innerWidth")
    assert page.ask("document.querySelectorAll('svg').length") == 7
    page.ask("document.querySelector('details').open = true")
    assert page.ask("document.documentElement.scrollWidth <= innerWidth")


def cells(page, table, name):
    """The cells of the row that begins so, in the table with that number."""
    return page.ask(
        f"[...document.querySelectorAll('table')[{table}].rows]"
        f".map(row => [...row.cells].map(cell => cell.textContent))"
        f".filter(row => row[0] === {name!r})"
    )


def test_systems_and_published_rows_stand_side_by_side_and_few_pictures_are_marked(browser):
    page, address = browser
    page.open(address)
    assert cells(page, 1, "ours, best of 64") == [
        ["ours, best of 64", "12,345", "22.00", "44.00", "66.00", "110.00", "198.00"]
    ]
    assert cells(page, 1, "ours (earlier.json)")[0][2] == "35.00"
    few = ["38.00*", "76.00*", "114.00*", "190.00*", "342.00*"]
    assert cells(page, 1, "a<script>gan") == [["a<script>gan", "900", *few]]
    assert cells(page, 1, "DALL-E")[0][:3] == ["DALL-E", "published", "27.50"]
    assert page.ask("document.querySelectorAll('table')[1].querySelectorAll('.published').length")
    text = page.ask("document.body.textContent")
    for words in (
        "* of only 900 drawn pictures, fewer than 10,000",
        "captions: empty captions: 2 (<b>1, 2); left out",
        "30,000 of 202,654 captions of captions_val2014.json",
        "DALL-E: CogView (2021), table 1, read off figure 9 of DALL-E",
        "95.0 % (76.0 to 97.4)",
    ):
        assert words in text


def test_curves_are_over_the_radius_and_over_the_number_of_candidates(browser):
    page, address = browser
    page.open(address)
    keys = page.ask(
        "Object.fromEntries([...document.querySelectorAll('svg')].map(svg => "
        "[svg.getAttribute('aria-label'), [...svg.querySelectorAll('.key')]"
        ".map(key => key.textContent)]))"
    )
    fid = keys["FID by blur radius"]
    assert fid[:5] == ["ours", "ours, best of 8", "ours, best of 64", "a<script>gan",
                       "ours (earlier.json)"]  # fmt: skip
    assert "DALL-E (published)" in fid
    dashed = "document.querySelectorAll('svg')[0].querySelectorAll('polyline.dashed').length"
    assert page.ask(dashed) == 5
    assert keys["FID by N"] == ["ours", "a<script>gan", "ours (earlier.json)"]
    assert {"R-precision by N", "colour and shape right, by N"} <= keys.keys()
    box = """[...document.querySelectorAll('svg')].every(svg => {
        const all = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].every(text => {
            const own = text.getBoundingClientRect();
            return own.left >= all.left - 1 && own.right <= all.right + 1;
        });
    })"""
    assert page.ask(box), "a word of a chart is cut off"
