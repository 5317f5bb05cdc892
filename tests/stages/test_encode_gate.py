"""Nothing is encoded with a dVAE that is not worth it, unless somebody insists."""

import re

import pytest

from infra.store import open_folder
from schemas.errors import GateClosed
from stages import encode
from stages.encode.gate import CHECKS, check_quality
from tests.stages.finished import manifest
from tests.stages.test_encode import HEALTHY, TINY, artifacts, clean_pair, job

FORCED = job(gate={"force": True})


def dvae_with(**found):
    return manifest(health=HEALTHY | found)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"codes_used": 2_047}, "2048 codes in use), found 2047 codes in use; train it longer"),
        ({"perplexity": 99.5}, "a perplexity of 512), found a perplexity of 99.5; train"),
        ({"psnr_db": 19.9}, "20.0 dB of reconstructions), found 19.9 dB"),
        ({"psnr_gap_db": 1.2}, "a gap of 1.0 dB between mixtures and single codes), found a gap"),
        ({"psnr_db": 12.0, "alarm": "lower dvae.beta"}, "found 12.0 dB of reconstructions; "
         "lower dvae.beta; or move encode.gate.min_psnr_db"),
    ],
)  # fmt: skip
def test_the_gate_is_closed_for_a_poor_dvae_unless_forced(found, words):
    poor = dvae_with(**found)
    with pytest.raises(GateClosed, match=re.escape(words)):
        check_quality(poor, job())
    check_quality(poor, FORCED)
    check_quality(poor, job(gate={
        "min_codes_used": 1, "min_perplexity": 1, "min_psnr_db": 0, "max_psnr_gap_db": 9,
    }))  # fmt: skip


def test_the_stage_asks_the_gate_first(tmp_path):
    poor = artifacts(tmp_path, TINY, {"train/a.parquet": [clean_pair(0, 40)]}, psnr_db=12.0)
    with pytest.raises(GateClosed, match=r"found 12\.0 dB"):
        encode.run(poor, open_folder(tmp_path / "out"), job())


def test_the_gate_does_not_tell_anybody_to_train_weights_longer_that_were_taken_over():
    taken = dvae_with(psnr_db=12.0).model_copy(update={"settings": {"pretrained": "release/"}})
    with pytest.raises(GateClosed, match="train one on these pictures instead"):
        check_quality(taken, job())


NOTHING = [float("nan"), None, float("inf"), "24 dB"]


@pytest.mark.parametrize("found", NOTHING)
@pytest.mark.parametrize("check", CHECKS)
def test_a_figure_that_is_no_number_closes_the_gate_with_a_sentence(check, found):
    poor = dvae_with(**{check.figure: found})
    with pytest.raises(
        GateClosed, match=rf"found {check.nothing}; .*or move encode.gate.{check.setting}"
    ):
        check_quality(poor, job())
    check_quality(poor, FORCED)


def test_a_dvae_without_any_figure_closes_it_too():
    with pytest.raises(GateClosed, match=r"found no count .* no perplexity, no decibels .* no gap"):
        check_quality(manifest(), job())
    check_quality(manifest(), FORCED)
