"""What single items came to, and that the report's figures are made of it."""

import numpy as np
import pytest
import torch

from infra.store import open_folder
from schemas.artifacts import PRIOR, TOKEN_PAIRS
from schemas.run_report import read_report
from schemas.settings import EvaluateSettings
from stages import evaluate, shapes
from stages.evaluate import item_outcomes
from stages.evaluate.baselines import first_tokens
from stages.evaluate.item_outcomes import code_outcomes, nats_of_rows, picture_outcomes
from stages.evaluate.reconstructions import measured_pictures
from stages.models.fidelity import psnr_db
from stages.models.prior import prior_terms
from stages.weights import load_prior


@pytest.fixture(scope="module")
def report(inputs, tmp_path_factory):
    out = open_folder(tmp_path_factory.mktemp("report"))
    evaluate.run(inputs, out, EvaluateSettings(judge="shapes", pictures=6))
    return read_report(out, "it")


def test_the_figures_are_means_of_the_items(report):
    outcomes = report.outcomes
    assert report.dvae.psnr_db == pytest.approx(psnr_db(np.mean(outcomes.pictures.squared_errors)))
    assert report.clip.r_precision == np.mean(outcomes.pictures.found)
    assert report.baselines.prior.prior == pytest.approx(np.mean(outcomes.codes.nats), rel=1e-5)
    assert outcomes.prompts.keys() == report.accuracy.sets.keys()
    for kind, row in report.accuracy.sets.items():
        own = outcomes.prompts[kind]
        found = [np.mean(values) for values in (own.single, own.reranked, own.whole)]
        assert found == pytest.approx([row.single, row.reranked, row.whole.reranked])
        assert all(shapes.named(prompt) for prompt in own.prompts)


def test_equal_captions_have_equal_numbers_and_the_digest_is_of_the_pixels(inputs):
    _, pictures = measured_pictures(inputs, 16, 6)
    scores = np.eye(6)
    found = picture_outcomes(pictures, [0.1] * 6, scores)
    assert found.captions == (0, 0, 1, 2, 3, 4)  # the second caption repeats the first
    assert found.found == (True,) * 6
    other = picture_outcomes([*pictures[:5], pictures[0]], [0.1] * 6, scores)
    assert other.sha256 != found.sha256
    assert picture_outcomes([], [], None).found == ()


def test_nats_of_a_row_are_its_own_however_rows_are_batched(inputs, monkeypatch):
    prior = load_prior(inputs.folder(PRIOR))
    text, codes = (
        first_tokens(inputs.folder(TOKEN_PAIRS), "val/", 5, column) for column in ("text", "image")
    )
    monkeypatch.setattr(item_outcomes, "BATCH", 2)
    found = list(nats_of_rows(prior, text, codes))
    with torch.inference_mode():
        alone = [
            prior_terms(prior, *(torch.from_numpy(part[n : n + 1]) for part in (text, codes)))
            for n in range(5)
        ]
    assert found == pytest.approx([t.image.item() / t.image_tokens for t in alone], rel=1e-5)


def test_a_large_prior_is_asked_for_fewer_rows_or_not_at_all(inputs, monkeypatch):
    every = code_outcomes(inputs)
    assert len(every.nats) == 8
    prior = load_prior(inputs.folder(PRIOR))
    of_row = item_outcomes.prior_flops(prior.tokens, prior.shape)
    monkeypatch.setattr(item_outcomes, "MOST_FLOPS", 3.5 * of_row)
    assert code_outcomes(inputs).nats == every.nats[:3]
    monkeypatch.setattr(item_outcomes, "MOST_FLOPS", 1.0)
    assert code_outcomes(inputs).nats is None
    assert code_outcomes(inputs).sha256 == every.sha256
