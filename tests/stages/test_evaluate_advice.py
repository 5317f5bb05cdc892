"""What a report advises is never what the run did already."""

import ast
import re
from itertools import product
from pathlib import Path

import pytest

from schemas.run_report.baselines_part import ChooserFigures
from schemas.run_report.stages_part import StageRecord
from schemas.run_report.training_part import HeldOutLoss
from schemas.settings import Settings
from schemas.settings.tree import leaves
from stages import evaluate
from stages.evaluate.advice import Advice
from stages.evaluate.baselines.comparison import compared
from stages.evaluate.checks import checks
from tests.stages.reports import (
    BLUE_RING,
    CHOSEN,
    RED_STAR,
    SIMPLEST,
    judgement,
    network,
    small_report,
)

SETTINGS = {leaf.path for leaf in leaves()}
NAMED = re.compile(r"\b((?:crawl|filter|tokens|dvae|prior|clip|sample)(?:\.[a-z]\w*)+)(=\w+)?")
NOW = re.compile(r"([a-z]\w*(?:\.[a-z]\w*)+), now ([^;,)]+)")
OF_STAGES = {"dvae": "train_dvae", "prior": "train_prior", "clip": "train_clip", "sample": "sample"}
TWO_COMBINATIONS = [
    judgement("a red star", [RED_STAR], [RED_STAR]),
    judgement("a blue ring", [BLUE_RING], [BLUE_RING]),
]
OVERFITTED = HeldOutLoss(
    lowest=1.5, lowest_step=2_000, last=2.0, training_at_lowest=1.4, training_last=1.0
)


def run_of(**values):
    """The records of a run's stages: the defaults, and these settings by their path with __."""
    tree = Settings().model_dump(mode="json")
    for path, value in values.items():
        part, *nodes, name = path.split("__")
        node = tree[part]
        for inner in nodes:
            node = node[inner]
        node[name] = value
    health = {
        "artifact": "a/0123", "health": {}, "rows_in": 9, "rows_out": 9, "rejects": {},
        "seconds": 1.0, "rows_per_second": 9.0,
    }  # fmt: skip
    return {
        stage: StageRecord.model_validate(health | {"settings": tree[part]})
        for part, stage in OF_STAGES.items()
    }


def weak(stages, loss, shares=(0.7, 0.9, 0.8)):
    """A report of a run in which all is weak; choosers are right so often: clip, likelihood, both.

    Choosing gains nothing there, and the likelihood alone would choose better.
    """
    of_clip, of_likelihood, of_both = shares
    chosen = CHOSEN.model_copy(
        update={"clip": of_clip, "prior_likelihood": of_likelihood, "both": of_both, "random": 0.95}
    )
    report = small_report(TWO_COMBINATIONS)
    figures = {"codes_used": 2, "psnr_db": 15.1}
    own = report.dvae.model_copy(update=figures)
    simplest = SIMPLEST.model_copy(update={"clip": ChooserFigures(all=chosen, sets={})})
    rows = compared(own, 2, simplest, Advice.of(stages, loss))
    far = network(first=0.3, reconstructions=0.1, nearest=0.05)
    rank_by = stages["sample"].settings["rank_by"]
    report = report.model_copy(
        update={
            "dvae": own,
            "stages": stages,
            "prior": loss,
            "networks": (far,),
            "clip": report.clip.model_copy(update={"r_precision_interval": (0.0, 0.1)}),
            "samples": report.samples.model_copy(update={"rank_by": rank_by}),
            "baselines": simplest.model_copy(update={"compared": rows}),
        }
    )
    return [one.meaning for one in checks(report) if not one.ok]


RUNS = [
    {
        "sample__rank_by": rank_by,
        "dvae__init": init,
        "dvae__pretrained": dvae,
        "clip__pretrained": clip,
    }
    for rank_by, init, (dvae, clip) in product(
        ("clip", "likelihood", "both"), ("random", "patches"), (("", ""), ("a.pt", "a/clip"))
    )
] + [
    {"dvae__beta_ramp_share": 1.0},
    {"dvae__beta_ramp_share": 1.0, "dvae__temperature_share": 1.0},
    {"dvae__init": "patches", "dvae__patch": 4},
    {"sample__temperature": 0.7, "sample__top_p": 0.9, "prior__dropout": 0.2},
]  # fmt: skip


@pytest.mark.parametrize("loss", [None, OVERFITTED], ids=["", "overfitted"])
@pytest.mark.parametrize("changes", RUNS, ids=str)
def test_no_sentence_advises_what_the_run_did(changes, loss):
    stages = run_of(**changes)
    had = Advice.of(stages, loss)
    sentences = weak(stages, loss)
    assert len(sentences) > 6
    for sentence in sentences:
        for path, value in NAMED.findall(sentence):
            assert path in SETTINGS, sentence
            assert value != f"={had.value(path.replace('tokens.', 'dvae.'))}", sentence
        for path, value in NOW.findall(sentence):
            own = had.value(path.replace("tokens.", "dvae."))
            assert value in (str(own), f"{own:g}" if not isinstance(own, str) else own), sentence


def said(words, **changes):
    """The only sentence with these words, of a run in which all is weak."""
    (found,) = {one for one in weak(run_of(**changes), None) if words in one}
    return found


@pytest.mark.parametrize("loss", [None, OVERFITTED])
def test_a_longer_training_and_a_shorter_one_are_not_both_advised(loss):
    sentences = " ".join(weak(run_of(), loss))
    assert ("train the prior longer" in sentences) == (loss is None)
    assert ("stop there" in sentences.lower()) == (loss is not None)


def test_another_way_to_rank_is_advised_where_it_was_better():
    better = "(sample.rank_by=likelihood), whose choice is right for 90.0 %"
    assert better in said("hardly better than the first", sample__rank_by="clip")
    assert better in said("chooses as well by itself", sample__rank_by="both")
    for words in ("hardly better than the first", "chooses as well by itself"):
        assert "rank_by" not in said(words, sample__rank_by="likelihood")
    assert "train the prior longer" in said(
        "hardly better than the first", sample__rank_by="likelihood"
    )
    best = weak(run_of(sample__rank_by="both"), None, shares=(0.7, 0.7, 0.8))
    assert "rank_by" not in " ".join(best)
    assert "train CLIP longer (clip.fit.steps, now 30000)" in " ".join(best)


def test_a_dvae_that_starts_as_kmeans_is_not_told_to():
    words = "a table of average patches"
    assert "dvae.init=patches" in said(words)
    assert "dvae.init" not in said(words, dvae__init="patches")
    taken = said(words, dvae__pretrained="theirs.pt")
    assert taken.endswith(
        "take other weights (dvae.pretrained, now theirs.pt), or train the dVAE here."
    )


def test_a_schedule_that_takes_the_whole_run_is_not_told_to_take_more():
    words = "The codes have collapsed"
    assert "dvae.temperature_share, now 0.05" in said(words)
    assert "temperature_share" not in said(words, dvae__temperature_share=1.0)
    assert "patch, now 8" in said(words, dvae__init="patches")
    assert "image_vocab, now 8192" in said(words, dvae__init="patches", dvae__patch=4)


def test_a_clip_that_ranks_nothing_is_no_lottery():
    words = "CLIP cannot tell"
    assert "lottery" in said(words)
    assert said(words, sample__rank_by="likelihood").endswith("; this run does not rank by it.")


def test_records_of_older_releases_have_the_defaults_for_what_they_lack():
    old = {
        "train_dvae": run_of()["train_dvae"].model_copy(update={"settings": {"fit": {"steps": 3}}})
    }
    had = Advice.of(old, None)
    assert (had.value("dvae.fit.steps"), had.value("dvae.init")) == (3, "random")
    assert had.value("sample.rank_by") == "clip"


def test_only_advice_names_settings_to_change():
    """So that every sentence of the kind is held against what the run did."""
    for path in Path(evaluate.__file__).parent.rglob("*.py"):
        if path.name == "advice.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not set(re.findall(r"[\w.]+", node.value)) & SETTINGS - {
                    "evaluate.features"
                }, f"{path.name}: {node.value}"
