"""Baselines in the report: which parts lost, in words and first, on a run that learned nothing."""

import math

import numpy as np
import pyarrow as pa
import pytest

from infra.store import open_folder, publish
from schemas import rows
from schemas.artifacts import DVAE, PRIOR, TOKEN_PAIRS
from schemas.folder import Inputs
from schemas.run_report import read_report
from schemas.run_report.baselines_part import ChooserFigures
from schemas.settings import EvaluateSettings
from stages import evaluate
from stages.evaluate.baselines import beside_dvae, beside_prior, first_tokens
from stages.evaluate.baselines.comparison import Comparison, compared
from stages.evaluate.formats import difference, interval
from stages.evaluate.page import Gallery, render
from stages.evaluate.reconstructions import measured_pictures
from tests import tiny_run
from tests.stages.reports import ADVICE, CHOSEN, SIMPLEST, small_report


@pytest.fixture(scope="module")
def report(inputs, tmp_path_factory):
    out = open_folder(tmp_path_factory.mktemp("report"))
    result = evaluate.run(inputs, out, EvaluateSettings(judge="shapes", pictures=6))
    return result.health["weak"], read_report(out)


def compare(ours, baseline, unit="dB", **how):
    return Comparison("part", "simple", unit, ours, baseline, **how)


def row(ours, baseline, unit="dB", **how):
    return compare(ours, baseline, unit, **how).row()


def test_better_is_more_of_what_is_good_and_a_tie_is_not_better():
    assert row(24.0, 23.0).better
    assert not row(23.0, 23.0).better
    assert not row(22.0, 23.0).better
    assert row(0.2, 0.5, lower_is_better=True).better
    assert not row(0.5, 0.2, lower_is_better=True).better
    assert not compare(math.nan, 1.0).better
    assert not compare(math.nan, 1.0, lower_is_better=True).better


def test_a_difference_that_may_be_luck_is_not_better():
    assert row(24.0, 23.0, standard_error=0.49).better
    lost = row(24.0, 23.0, standard_error=0.51, advice="So train longer.")
    assert not lost.better
    assert lost.words == "Simple has 23.0 dB, ours 24.0 dB: the difference may be luck."
    assert not row(0.2, 0.5, standard_error=0.2, lower_is_better=True).better
    assert row(24.0, 23.0, standard_error=0.0).better


def test_a_defeat_is_said_in_words_with_both_numbers():
    lost = row(22.04, 23.16, advice="So train longer.")
    assert lost.words == "Simple has 23.2 dB, ours 22.0 dB. So train longer."
    assert lost.difference == pytest.approx(-1.12)
    assert row(24.0, 23.0).words == ""


def test_every_part_has_its_row():
    choosers = ChooserFigures(all=CHOSEN, sets={})
    dvae = small_report().dvae
    found = compared(dvae, 2, SIMPLEST.model_copy(update={"clip": choosers}), ADVICE)
    assert [(one.part.split(":")[0], one.better) for one in found] == [
        ("dVAE", True),  # 16.0 dB, and 15.5
        ("dVAE", True),
        ("prior", False),  # 0.5 nats, and 0.45
        ("drawing", True),
        ("drawing", False),
        ("CLIP", True),
        ("CLIP", False),  # the likelihood's favourite is right as often, as far as luck goes
    ]
    unknown = SIMPLEST.prior.model_copy(update={"prior": None})
    assert compared(dvae, 2, SIMPLEST.model_copy(update={"prior": unknown}), ADVICE)[2].unit == "%"


def test_differences_as_the_page_writes_them():
    assert difference(row(22.0, 23.2)) == "-1.2 dB"
    assert difference(row(0.75, 0.5, "%", standard_error=0.031)) == "+25.0 ± 3.1 points"
    assert difference(row(0.5, 0.45, "nats")) == "+0.050 nats"
    assert difference(row(0.5, 0.75, "")) == "-0.250"


def test_an_interval_holds_the_value_that_it_is_of_also_near_an_end():
    assert interval([0.741, 0.958]) == "74\N{EN DASH}96\N{NO-BREAK SPACE}%"
    assert interval([0.9964, 0.9998]) == "99.6\N{EN DASH}100.0\N{NO-BREAK SPACE}%"


def test_the_page_says_first_what_lost():
    page = render(small_report(), Gallery())
    assert "Counting the codes above and left has 0.450\N{NO-BREAK SPACE}nats, ours" in page
    page = page.replace("\N{NO-BREAK SPACE}", " ")
    first = page.index("Not better than the simplest thing that does the same job")
    assert first < page.index('class="tiles"') < page.index("What is weak here")
    box = page[first : page.index('class="tiles"')]
    assert "prior: a code of a held-out picture" in box
    assert "Counting the codes above and left has 0.450 nats, ours 0.500 nats. So" in box
    assert "drawing: right, seen combinations" in box
    assert "dVAE" not in box
    weak = page[page.index("What is weak here") : page.index('id="drawn"')]
    assert "prior" not in weak.split("<li>")[0]
    assert "a code of a held-out picture" not in weak


def test_where_nothing_lost_nothing_is_said_first():
    report = small_report()
    won = [one for one in report.baselines.compared if one.better]
    baselines = report.baselines.model_copy(update={"compared": won})
    report = report.model_copy(update={"baselines": baselines})
    assert "Not better than the simplest" not in render(report, Gallery())


def test_the_checks_begin_with_them():
    found = [check.what for check in small_report().checks]
    parts = [one.part for one in small_report().baselines.compared]
    assert found[: len(parts)] == parts


def test_a_run_that_learned_nothing_is_caught_in_every_part(report):
    weak, report = report
    parts = {one.part: one for one in report.baselines.compared}
    lost = {part for part, one in parts.items() if not one.better}
    assert {"dVAE: reconstruction", "prior: a code of a held-out picture"} <= lost
    assert "drawing: right, seen combinations" in lost
    assert "CLIP: its favourite of 4 is right" in lost
    assert lost <= set(weak)


def test_the_numbers_are_those_of_the_report(report):
    _, report = report
    parts = {one.part: one for one in report.baselines.compared}
    assert parts["dVAE: reconstruction"].ours == report.dvae.psnr_db
    assert report.baselines.dvae.pictures == report.dvae.pictures
    assert report.baselines.dvae.training_pictures == tiny_run.SIZES["train"]
    for name, own in report.baselines.clip.sets.items():
        assert own.clip == report.accuracy.sets[name].reranked
        assert own.best_possible >= max(own.clip, own.random)


def test_ssim_is_compared_on_the_pictures_of_the_dvaes_own_validation(inputs, folder):
    own = inputs.manifest(DVAE)
    health = {"ssim": 0.25, "positions": 3 * tiny_run.TOKENS.grid**2}  # three pictures
    publish(folder, own.model_copy(update={"health": health, "files": {}}))
    with_health = Inputs({**inputs.folders, DVAE.name: folder})
    _, pictures = measured_pictures(inputs, 16, 6)
    found = [beside_dvae(with_health, pictures[:n], 16, 16, 8).ssim for n in (3, 6)]
    assert found[0] == found[1]
    assert found[0].ours == 0.25
    assert found[0].kmeans > 0.4
    assert beside_dvae(inputs, pictures, 16, 16, 8).ssim is None


def test_counts_are_measured_on_the_rows_behind_the_priors_own_loss(inputs):
    found = beside_prior(inputs, tiny_run.TOKENS.image_vocab)
    assert found.validation_rows == tiny_run.SIZES["val"]
    assert found.training_rows == tiny_run.SIZES["train"]
    assert found.prior == inputs.manifest(PRIOR).health["validation_image"]
    assert found.uniform == pytest.approx(math.log(16))


def test_first_tokens_go_over_row_groups_and_files(folder, write):
    codes = np.arange(30 * 4, dtype=np.uint16).reshape(30, 4)
    for number, part in enumerate(np.split(codes, [10, 23])):
        table = pa.table({"image": rows.fixed_list(part)})
        write(folder, f"train/shard-{number:05d}.parquet", table)
    for count in (1, 4, 11, 30, 50):
        assert np.array_equal(first_tokens(folder, "train/", count), codes[:count])


def test_first_tokens_are_those_of_the_table(inputs):
    folder = inputs.folder(TOKEN_PAIRS)
    every = first_tokens(folder, "train/", 1_000)
    assert len(every) == tiny_run.SIZES["train"]
    assert np.array_equal(first_tokens(folder, "train/", 5), every[:5])
