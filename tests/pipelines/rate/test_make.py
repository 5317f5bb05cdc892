"""Pages from folders and runs, blind to what is what; wrong systems and captions."""

import json
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from infra.store import Store
from pipelines.rate import __main__ as rate
from pipelines.rate.answers import read_plan
from pipelines.rate.rating_page import ruined
from schemas.artifacts import SAMPLES
from stages.data.parquet import read_rows
from stages.pages import uri
from stages.pictures import decode
from tests.pipelines.rate.planted import captions_file, pictures
from tests.pipelines.score import coco

NAMES = [f"{n:03d}" for n in range(12)]


@pytest.fixture
def asked(tmp_path):
    """Two systems with pictures for twelve captions; the arguments that compare them."""
    pictures(tmp_path / "painter", NAMES, 1)
    pictures(tmp_path / "scribbler", NAMES, 2)
    captions = captions_file(tmp_path / "captions.jsonl", NAMES)
    return [
        "make", "--system", f"painter={tmp_path}/painter", "--system",
        f"scribbler={tmp_path}/scribbler", "--captions", str(captions),
        "--out", str(tmp_path / "rating"),
    ]  # fmt: skip


def task(page):
    return json.loads(re.search(r'<script id="task"[^>]*>(.*?)</script>', page, re.DOTALL)[1])


def picture(folder, name):
    return uri(decode((folder / f"{name}.png").read_bytes()))


def test_pages_show_the_planned_pictures_on_the_planned_sides(tmp_path, asked, capsys):
    assert rate.main(asked) == 0
    assert "12 pairs of 2 systems, 5 votes each, and 5 gold questions" in capsys.readouterr().out
    plan = read_plan(tmp_path / "rating")
    by_number = {pair.number: pair for pair in plan.pairs}
    for page in plan.pages:
        shown = task((tmp_path / "rating" / f"rater-{page.rater}.html").read_text())
        assert [pair["number"] for pair in shown["pairs"]] == list(page.pairs)
        assert (shown["plan"], shown["rater"]) == (plan.identity, page.rater)
        for one, first_is_left in zip(shown["pairs"], page.first_is_left, strict=True):
            pair = by_number[one["number"]]
            sides = ("left", "right") if first_is_left else ("right", "left")
            first, second = (one[side] for side in sides)
            assert one["caption"] == pair.caption
            for uri_, system, which in (
                (first, pair.first, "first"),
                (second, pair.second, "second"),
            ):
                assert (uri_ == picture(tmp_path / system, pair.key)) == (pair.ruined != which)


def test_a_page_does_not_say_what_is_what(tmp_path, asked):
    assert rate.main(asked) == 0
    for path in (tmp_path / "rating").glob("*.html"):
        page = re.sub(r"data:image/[^\"]+", "", path.read_text())
        assert not re.search("painter|scribbler|gold|ruined|https?://", page)


def test_a_caption_cannot_become_markup(tmp_path, asked):
    rows = [{"picture": name, "caption": "</script><b>&"} for name in NAMES]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert rate.main(asked) == 0
    page = (tmp_path / "rating/rater-1.html").read_text()
    assert "<b>&" not in page
    assert {pair["caption"] for pair in task(page)["pairs"]} == {"</script><b>&"}


def test_the_same_command_makes_the_same_bytes_and_another_plan_is_not_overwritten(
    tmp_path, asked, capsys
):
    assert rate.main([*asked, "--raters", "2"]) == 0
    first = {path.name: path.read_bytes() for path in (tmp_path / "rating").iterdir()}
    assert sorted(first) == ["plan.json", "rater-1.html", "rater-2.html"]
    assert rate.main([*asked, "--raters", "2"]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "rating").iterdir()} == first
    assert rate.main([*asked, "--raters", "2", "--seed", "1"]) == 2
    assert "found another plan in" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "rating").iterdir()} == first


@pytest.mark.parametrize("shape", [(64, 64), (37, 50), (3, 2)])
def test_a_ruined_picture_has_other_pixels(shape):
    grey = np.full((*shape, 3), 128, np.uint8)
    made = ruined(grey, 0)
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - 128).mean() > 20
    assert (ruined(grey, 0) == made).all()


def favourites(root):
    rows = read_rows(Store(root).newest(SAMPLES), "table/", ("prompt", "rank", "png"))
    return {row["prompt"]: row["png"] for row in rows if row["rank"] == 0}


def test_a_run_is_shown_by_its_favourites(tmp_path, root):
    other = shutil.copytree(root, tmp_path / "other")
    out = tmp_path / "rating"
    given = ["make", "--system", f"one={root}", "--system", f"other={other}", "--out", str(out)]
    assert rate.main(given) == 0
    wanted = {prompt: uri(decode(png)) for prompt, png in favourites(root).items()}
    plan = read_plan(out)
    assert {pair.caption for pair in plan.pairs} == set(wanted)
    real = {pair.number for pair in plan.pairs if pair.ruined is None}
    for pair in task((out / "rater-1.html").read_text())["pairs"]:
        if pair["number"] in real:
            assert pair["left"] == pair["right"] == wanted[pair["caption"]]


def test_a_run_meets_a_folder_on_the_captions_of_a_file(tmp_path, root):
    prompts = list(favourites(root))[:4]
    pictures(tmp_path / "others", ["a", "b", "c", "d"], 0)
    rows = [{"picture": f"{n}.jpg", "caption": p} for n, p in zip("abcd", prompts, strict=True)]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = [
        "make", "--system", f"run={root}", "--system", f"others={tmp_path}/others",
        "--captions", str(tmp_path / "captions.jsonl"), "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert rate.main(given) == 0
    assert len([pair for pair in read_plan(tmp_path / "out").pairs if pair.ruined is None]) == 4


def test_one_caption_of_each_picture_of_mscoco_is_rated(tmp_path, capsys):
    folder = coco.build(tmp_path)
    coco.draw(folder / "ours", coco.image_ids())
    given = ["make", "--out", str(tmp_path / "out"), "--system", f"ours={folder}/ours"]
    given += ["--system", f"real={folder}/val2014"]
    assert rate.main([*given, "--captions", str(folder / "captions_val2014.json")]) == 0
    plan = read_plan(tmp_path / "out")
    rated = {pair.key: pair.caption for pair in plan.pairs if pair.ruined is None}
    assert len(rated) == coco.PICTURES
    _, annotations = coco.read(folder)
    captions = {(one["image_id"], one["caption"].strip()) for one in annotations}
    assert {(int(key.rpartition("_")[2]), text) for key, text in rated.items()} <= captions


def rewritten(name, content):
    return lambda folder: (folder / name).write_text(content)


FAULTS = {
    "a picture is missing": (
        lambda f: (f / "painter/003.png").unlink(),
        'found 1 without one in {f}/painter, first "a picture called 003" (003)'),
    "no picture is called so": (
        lambda f: (f / "painter/000.png").unlink() or rewritten(
            "captions.jsonl", '{"picture": "x", "caption": "y"}')(f),
        "--system painter: wanted pictures that are called as captions are, such as x or 0"),
    "a picture is broken": (
        rewritten("painter/003.png", "no picture"), "found 003 of {f}/painter undecodable"),
    "a folder is missing": (
        lambda f: shutil.rmtree(f / "painter"), "at '{f}/painter', found none"),
    "no captions file": (lambda f: (f / "captions.jsonl").unlink(), "of --captions, found"),
    "no captions": (rewritten("captions.jsonl", "\n"), "found none that all rows have"),
    "no JSON": (rewritten("captions.jsonl", "a cat\n"), "captions.jsonl', found line 1"),
    "no caption in a line": (
        rewritten("captions.jsonl", '{"picture": "a"}'), "rows with a column caption"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_pictures_and_captions_are_one_sentence(tmp_path, asked, capsys, fault):
    damage, sentence = FAULTS[fault]
    damage(tmp_path)
    assert rate.main(asked) == 2
    said = capsys.readouterr().err
    assert sentence.format(f=tmp_path) in said
    assert said.count("\n") == 1
    assert not (tmp_path / "rating").exists()


@pytest.mark.parametrize(
    ("systems", "sentence"),
    [
        (["a=painter"], "wanted two systems to compare, found 1"),
        ([], "wanted two systems to compare, found 0"),
        (["a=painter", "a=scribbler"], "found two 'a'"),
        (["a=painter", "scribbler"], "wanted --system NAME=FOLDER"),
        (["a=painter", "b="], "wanted --system NAME=FOLDER"),
        (["a=painter", "b=scribbler"], "wanted --captions FILE"),
    ],
)
def test_wrong_systems_are_one_sentence(tmp_path, asked, capsys, monkeypatch, systems, sentence):
    monkeypatch.chdir(tmp_path)
    given = [word for one in systems for word in ("--system", one)]
    assert rate.main(["make", *given, "--out", "rating"]) == 2
    assert sentence in capsys.readouterr().err


def test_what_is_passed_over_is_said_and_counted(tmp_path, asked, capsys):
    captions = captions_file(tmp_path / "captions.jsonl", [*NAMES[1:], "003", "900", "901"])
    with captions.open("a") as file:
        file.write('{"picture": "902", "caption": " "}')
    shutil.copy(tmp_path / "painter/004.png", tmp_path / "painter/004.jpg")
    assert rate.main(asked) == 0
    said = capsys.readouterr().out
    assert "passed over 2 captions" in said
    for words in (
        "captions: rows that name the picture of an earlier row: 1 (003); the first counts",
        "captions: empty captions: 1 (902); left out",
        "painter: pictures with the name of another one: 1 (004.png); the first counts",
        "painter: pictures of no chosen caption: 1 (000.png); left out",
    ):
        assert words in said


def test_runs_of_different_prompts_are_one_sentence(tmp_path, root, run, capsys):
    folder = run.newest(SAMPLES)
    (name,) = folder.list("table/")
    table = pq.read_table(folder.path / name)
    pq.write_table(table.slice(4), folder.path / name)
    given = ["make", "--system", f"a={root}", "--system", f"b={run.root}", "--out", str(tmp_path)]
    assert rate.main(given) == 2
    assert f"found 1 without one in {run.root}" in capsys.readouterr().err
