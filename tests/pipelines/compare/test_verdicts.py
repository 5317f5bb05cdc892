"""What is called different: nothing of 1,000 pairs without a difference, and what is planted."""

import numpy as np
import pytest
from scipy.stats import binom

from pipelines.compare.comparison_table import summary
from pipelines.compare.figures import figures
from pipelines.compare.verdicts import judge_figures
from tests.pipelines.compare.planted import SETS, World

PAIRS = 1_000


def verdicts(*reports):
    """The verdicts on each figure, by section and name, and how many comparisons were tested."""
    letters = "ABCDE"[: len(reports)]
    rows, tested = judge_figures(list(figures(reports)), letters, reports)
    return {(row.section, row.name): row.verdicts for row in rows}, tested


def of(found, name):
    """The only verdict on a figure that one section has."""
    ((verdict,),) = [own for (_, called), own in found.items() if called == name]
    return verdict


def better(found):
    """The figures in which a run is better, and the run."""
    return {key: verdict.better for key, own in found.items() for verdict in own if verdict.better}


def test_without_a_difference_at_most_one_pair_in_twenty_is_called_different():
    rng = np.random.default_rng(0)
    called, small, tests = 0, {}, {}
    for _ in range(PAIRS):
        world = World(rng)
        found, _ = verdicts(world.run(), world.run())
        own = [verdict for (verdict,) in found.values() if verdict.p is not None]
        called += any(verdict.better for verdict in own)
        for verdict in own:
            small[verdict.how] = small.get(verdict.how, 0) + (verdict.p < 0.05)
            tests[verdict.how] = tests.get(verdict.how, 0) + 1
    assert called <= 0.05 * PAIRS
    # each kind of test alone: in one of twenty, but for luck that one draw in a thousand has
    assert {how for how, n in tests.items() if small[how] > binom.ppf(0.999, n, 0.05)} == set()
    assert called > 0  # else the tests could not find anything


def test_a_run_compared_with_itself_shows_no_difference():
    one = World(np.random.default_rng(0)).run()
    found, tested = verdicts(one, one)
    assert tested == 0
    assert {verdict.finding for (verdict,) in found.values()} <= {"no difference", "not compared"}
    assert of(found, "PSNR").finding == "no difference"


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        ({"errors": -0.4}, "PSNR"),
        ({"nats": -0.1}, "prior"),
        ({"found": 7.0}, "R-precision"),
    ],
)
def test_what_is_planted_is_found_and_hardly_anything_else(planted, name):
    rng, others = np.random.default_rng(0), 0
    for _ in range(10):
        world = World(rng)
        found, tested = verdicts(world.run(), world.run(**planted))
        assert tested == 12
        assert of(found, name).words.startswith("B better, p ")
        others += len(better(found)) - 1
    assert others <= 2
    back, _ = verdicts(world.run(**planted), world.run())
    assert of(back, name).better == "A"


def test_better_drawings_are_found_in_each_set():
    world = World(np.random.default_rng(4))
    found, _ = verdicts(world.run(right=-3.0), world.run(right=2.0))
    assert set(better(found).values()) == {"B"}
    assert {key for key in better(found) if key[1] == "first picture"} == {
        key for key in found if key[1] == "first picture"
    }
    assert all(section.startswith("drawings: ") for section, _ in better(found))


def test_each_line_of_the_summary_names_one_figure_of_one_set():
    world = World(np.random.default_rng(4))
    reports = world.run(right=-3.0), world.run(right=2.0)
    rows, tested = judge_figures(list(figures(reports)), "AB", reports)
    counted, lines = summary(rows, tested)
    names = [line.rpartition(": B better, p ")[0] for line in lines]
    assert counted.startswith(f"{len(lines)} of {tested} comparisons")
    assert len(set(names)) == len(lines) > 2
    assert set(names) <= {f"{row.section}, {row.name}" for row in rows}


def test_several_runs_are_held_against_the_first_all_together():
    world = World(np.random.default_rng(5))
    first, same, better = world.run(), world.run(), world.run(errors=-0.3)
    found, tested = verdicts(first, same, better)
    assert tested == 24
    (psnr,) = [own for (_, name), own in found.items() if name == "PSNR"]
    assert [(verdict.run, verdict.better) for verdict in psnr] == [("B", None), ("C", "C")]
    alone = of(verdicts(first, better)[0], "PSNR")
    assert psnr[1].p == alone.p
    assert psnr[1].p_together > alone.p_together


@pytest.mark.parametrize(
    ("other", "names", "reason"),
    [
        ({"split": "train"}, ("PSNR", "R-precision"), "measured on val and on train"),
        ({"pictures": "q"}, ("PSNR", "R-precision"), "measured on other pictures"),
        ({"codes": "d"}, ("prior",), "codes of another dVAE, or of other pictures"),
        ({"revision": 11}, ("PSNR", "prior", "R-precision"), "measured by revisions 10 and 11 of"),
    ],
)
def test_what_was_not_measured_alike_is_not_compared(other, names, reason):
    world = World(np.random.default_rng(6))
    found, _ = verdicts(world.run(), world.run(errors=-1.0, nats=-1.0, found=3.0, **other))
    for name in names:
        assert of(found, name).finding == "not compared"
        assert reason in of(found, name).how
        assert of(found, name).p is None


def test_other_prompts_are_compared_by_their_intervals():
    world = World(np.random.default_rng(7))
    others = SETS | {"seen": SETS["seen"][::-1]}
    found, _ = verdicts(world.run(right=-4.0), world.run(right=3.0, sets=others))
    asked = [own for own in found.values() if "Newcombe" in own[0].how]
    assert len(asked) == 3
    assert {verdict.better for (verdict,) in asked} == {"B"}


def test_without_outcomes_no_noise_is_known():
    world = World(np.random.default_rng(8))
    old = world.run(errors=-1.0).model_copy(update={"outcomes": None})
    found, tested = verdicts(world.run(), old)
    assert tested == 0
    assert of(found, "PSNR").words == "no noise known"
    too_large = world.run(nats=-1.0)
    codes = too_large.outcomes.codes.model_copy(update={"nats": None})
    outcomes = too_large.outcomes.model_copy(update={"codes": codes})
    found, _ = verdicts(world.run(), too_large.model_copy(update={"outcomes": outcomes}))
    assert of(found, "prior").words == "no noise known"


def test_a_figure_that_a_run_lacks_is_not_compared():
    world = World(np.random.default_rng(9))
    without = world.run().model_copy(update={"accuracy": None, "clip": None})
    found, _ = verdicts(world.run(), without)
    assert of(found, "R-precision").how == "only one has this figure"
    assert all(own[0].better is None for own in found.values())
