"""A run's results in lines of Markdown: of a small report by hand, of a real one, and README's."""

import re
from pathlib import Path

import pytest

from pipelines import results
from schemas.run_report import parse_report
from tests.bench.demo_results import KEPT, README, shortened
from tests.stages.reports import BLUE_RING, RED_STAR, judgement, small_report

# Of the never-seen 2 of 3 favourites are right and 1 first picture; handed to others, 5 of 6 are.
JUDGEMENTS = [
    judgement("a red star", [], [RED_STAR]),
    judgement("a red star", [BLUE_RING], [RED_STAR, BLUE_RING]),
    judgement("a blue ring", [BLUE_RING], [RED_STAR]),
    judgement("a red star", [RED_STAR], [RED_STAR], "my_own"),
]


def test_the_lines_of_a_small_report():
    said = results.results(small_report(JUDGEMENTS))
    heads, rule, unseen, own = [line for line in said.splitlines() if line.startswith("|")]
    assert heads == (
        "| prompts | colour and shape right, best of 2 by CLIP | first picture | chance | "
        "everything right, best of 2 |"
    )
    assert rule == "|---|---|---|---|---|"
    assert re.match(
        r"\| Combinations never seen in training \| 67 % \(\d+ to \d+\) \| 33 % \(\d+ to \d+\) "
        r"\| 83 % \| 33 % \(\d+ to \d+\) \|$",
        unseen,
    )
    assert own.startswith("| my own | 100 % (")
    prose = said[said.index("\n\n") :]
    assert max(map(len, prose.splitlines())) <= 112
    assert " ".join(prose.split()) == (
        "Of 9 validation pictures, the dVAE keeps 16.0 dB in 3 of 128 codes, and CLIP finds the "
        "caption of 50 % (chance is 11 %). Of 5 figures, 3 beat those of the simplest thing that "
        "does the same job; not better, or by no more than luck, are (ours, the simplest): prior: "
        "a code of a held-out picture (0.500 nats, 0.450 nats); drawing: right, seen combinations "
        "(75.0 %, 100.0 %)."
    )


def test_without_a_judge_only_what_was_measured_is_said():
    said = results.results(small_report().model_copy(update={"accuracy": None, "clip": None}))
    assert said.startswith("Of 9 validation pictures, the dVAE keeps 16.0 dB in 3 of 128 codes. Of")


def test_the_lines_of_the_readme_are_those_of_the_kept_report(capsys):
    assert results.main([str(KEPT)]) == 0
    (block,) = re.findall(
        r"<!-- results:begin[^\n]*-->\n(.*?)<!-- results:end -->", README.read_text(), re.DOTALL
    )
    assert block == capsys.readouterr().out


def test_the_kept_report_names_no_place_of_a_machine():
    kept = KEPT.read_text()
    assert shortened(parse_report(kept.encode(), "kept")) == parse_report(kept.encode(), "kept")
    assert not re.search(r"(?<![\w/])/(tmp|home|root|work|mnt)/|https?://", kept)


@pytest.mark.slow
def test_the_command_prints_the_results_of_a_run(tiny_run, capsys):
    assert results.main([str(tiny_run)]) == 0
    printed = capsys.readouterr().out
    report = results.report_of(str(tiny_run))
    assert f"{report.dvae.psnr_db:.1f} dB in {report.dvae.codes_used} of" in " ".join(
        printed.split()
    )
    for of in report.accuracy.sets.values():
        assert f"| {100 * of.reranked:.0f} % (" in printed
    (file,) = Path(tiny_run).glob("report/*/report.json")
    assert results.main([str(file)]) == 0
    assert capsys.readouterr().out == printed


def test_what_is_no_run_is_refused_in_a_sentence(tmp_path, capsys):
    assert results.main([str(tmp_path)]) == 2
    (tmp_path / "report.json").write_text('{"accuracy": {}}')
    assert results.main([str(tmp_path / "report.json")]) == 2
    assert results.main([str(tmp_path / "none.json")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert "found none; make it again" in errors[1]
