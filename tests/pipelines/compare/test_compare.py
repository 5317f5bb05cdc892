"""Finished runs side by side, as the command is called; what is no finished run."""

import json
import shutil

import pytest

from infra.store import Store
from pipelines.compare import __main__ as compare
from pipelines.compare.comparison_file import RunComparison
from pipelines.compare.same_prompts import shared_prompts
from schemas.artifacts import REPORT, SAMPLES
from stages.data.parquet import read_rows
from stages.pictures import decode
from tests import tiny_run
from tests.pipelines.compare.conftest import HOSTILE, change


def found(page):
    return RunComparison.model_validate_json(page.with_suffix(".json").read_bytes())


def printed(capsys, *runs):
    assert compare.main([*runs]) == 0
    return capsys.readouterr().out


def test_settings_that_differ_come_first_by_their_dotted_names(page, one, other, capsys):
    seeds = {row.name: row.values for row in found(page).settings}
    assert seeds["dvae.seed"] == ("5", "6")
    assert all(values == ("5", "6") for values in seeds.values())
    assert not any(name.startswith("tokens.side") for name in seeds)
    text = printed(capsys, one, other)
    assert text.index("dvae.seed") < text.index("beyond noise") < text.index("PSNR")


def test_revisions_and_libraries_that_differ_are_named(page):
    code = {row.name: row.values for row in found(page).code}
    assert code["train_prior: revision of its code"] == ("1", "2")
    assert code["version of torch"] == ("2", HOSTILE)
    assert "evaluate: revision of its code" not in code


def test_a_run_compared_with_itself_differs_in_nothing(one, capsys):
    text = printed(capsys, one, one)
    assert "no setting differs" in text
    assert "none of 0 comparisons" in text
    assert "better" not in text
    assert text.count("the same artifact") == 10


def test_lines_fit_into_80_columns_and_nothing_commands_the_terminal(one, other, capsys):
    text = printed(capsys, one, other, one)
    paths = (one, other)
    lines = [line for line in text.splitlines() if not any(path in line for path in paths)]
    assert max(map(len, lines)) <= 80
    assert "<img" in text
    assert "C: no difference" in text


def test_a_report_alone_will_do(one, tmp_path, capsys):
    report = tiny_run.folder(Store(one), REPORT).path / "report.json"
    alone = shutil.copy(report, tmp_path / "report.json")
    out = tmp_path / "compare.html"
    assert compare.main([str(alone), one, "--out", str(out)]) == 0
    assert "none of 0 comparisons" in capsys.readouterr().out
    assert found(out).runs[0].finished_at is None
    assert "The same prompts" not in out.read_text()  # its samples are not at hand
    assert compare.main([str(report), str(report.parent)]) == 0  # both are of a run


def test_first_pictures_of_the_same_prompts(one, other, page):
    runs = compare.read_runs([one, other])
    shown = shared_prompts(runs)
    table = read_rows(Store(one).newest(SAMPLES), "table/", ("prompt", "candidate", "png"))
    first = {row["prompt"]: row["png"] for row in table if row["candidate"] == 0}
    assert {prompt.text for prompt in shown} == set(first)
    for prompt in shown:
        assert all((picture == decode(first[prompt.text])).all() for picture in prompt.pictures)
    text = page.read_text()
    assert text.count("data:image/png") == 2 * len(shown)


def test_stages_are_shown_with_their_pace_and_without_a_verdict(page):
    (crawl,) = [row for row in found(page).stages if row.stage == "crawl"]
    assert (crawl.rows_out, crawl.seconds, crawl.rows_per_second) == (
        (33, 33),
        (1.5, 1.5),
        (20, 20),
    )
    assert "Machines differ, so no run is called faster." in page.read_text()


def unfinished(top):
    Store(str(top)).top.commit("summary.json", b'{"stages": {}}')
    return top


def stopped(top):
    folder = tiny_run.folder(Store(str(top)), REPORT)
    folder.remove("manifest.json")
    return folder.path


def newer(top):
    store = Store(str(top))
    change(store, REPORT, "report.json", '"version": 1', '"version": 99')
    return top


FAULTS = {
    "nothing is finished": (unfinished, "wanted a finished 'report' under"),
    "evaluate was stopped": (stopped, "without a manifest: evaluate is at work"),
    "a newer version": (newer, "found 99"),
    "no run": (lambda top: top / "nowhere", "wanted a run under"),
    "no file": (lambda top: top / "nowhere.json", "found no file"),
    "no JSON": (lambda top: shutil.copy(__file__, top / "x.json"), "wanted JSON in"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_finished_run_is_one_sentence(fault, one, tmp_path, capsys):
    spoil, words = FAULTS[fault]
    place = spoil(shutil.copytree(one, tmp_path / "run"))
    assert compare.main([one, str(place)]) == 2
    error = capsys.readouterr().err
    assert words in " ".join(error.split())
    assert error.count("\n") == 1


def test_one_run_or_too_many_are_refused(one, capsys):
    assert compare.main([one]) == 2
    assert "wanted 2 to 5 runs, found 1" in capsys.readouterr().err
    assert compare.main([one] * 6) == 2
    assert "found 6" in capsys.readouterr().err
    assert compare.main([one, one, "--out", "page.pdf"]) == 2
    assert "end it in .html" in capsys.readouterr().err


def test_the_numbers_are_plain_json_and_the_same_again(page, one, other, tmp_path):
    again = tmp_path / "compare.html"
    assert compare.main([one, other, "--out", str(again)]) == 0
    assert again.read_bytes() == page.read_bytes()
    numbers = json.loads(page.with_suffix(".json").read_text())
    assert numbers == json.loads(again.with_suffix(".json").read_text())
    assert (numbers["format"], numbers["version"]) == ("dalle-ray comparison", 1)
