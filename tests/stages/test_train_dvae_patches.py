"""A training that starts as k-means on patches: better on held-out pictures, and never worse."""

import numpy as np
import pytest
import torch

from infra.store import open_folder
from schemas.settings import DvaeSettings
from stages import weights
from stages.evaluate.reconstructions import reconstruct
from stages.models.patch_kmeans import PatchKmeans
from stages.train_dvae import patches
from stages.train_dvae.health import alarm
from stages.training.trainer import Trainer
from tests.stages.test_train_dvae import task_of
from tests.stages.training.toy import ALONE, nodes, silent

SHORT = {"steps": 60, "batch_size": 8, "learning_rate": 2e-2, "learning_rate_end": 1e-3,
         "ema_share": 0.05, "log_every": 20, "save_every": 60, "validate_every": 60}  # fmt: skip


def settings(**fit):
    return DvaeSettings(
        width=4, blocks=1, codebook_width=8, image_vocab=16, side=16, patch=4, init="patches",
        **nodes(SHORT | fit),
    )  # fmt: skip


def kmeans_of(task):
    """K-means by hand: on the centres of the pictures to learn from."""
    images = [task.train.read(n, ("image",))["image"] for n in range(len(task.train.groups))]
    pixels, _ = patches.augment.held_out(np.concatenate(images).tolist(), task.cfg.side)
    return PatchKmeans.of(pixels, task.cfg.patch, task.cfg.image_vocab, task.cfg.fit.seed)


def psnr(tokenizer, task):
    return reconstruct(tokenizer, list(task.validation_pictures().numpy()), 16, keep=0).psnr_db


def test_a_fresh_model_is_kmeans_on_training_pictures(tmp_path):
    task = task_of(tmp_path, settings())
    model, kmeans = task.build(), kmeans_of(task)
    pixels = task.validation_pictures().permute(0, 3, 1, 2) / 255
    assert torch.equal(model.codes(pixels), kmeans.codes(pixels))
    assert psnr(model, task) == pytest.approx(psnr(kmeans, task), abs=1e-3)


def test_it_learns_beyond_kmeans_and_says_so(tmp_path):
    task, out = task_of(tmp_path, settings()), open_folder(tmp_path / "out")
    health = Trainer(task, task.cfg, out, ALONE, silent).fit()
    assert health["kmeans_psnr_db"] == pytest.approx(psnr(kmeans_of(task), task), abs=1e-3)
    assert health["psnr_db"] > health["kmeans_psnr_db"] + 0.01
    assert health["psnr_gap_db"] == pytest.approx(0, abs=1e-6)  # there are no mixtures
    assert health["psnr_db"] == pytest.approx(psnr(weights.load_dvae(out), task), abs=0.01)
    assert alarm(health, task.cfg, task.cfg.fit.steps) is None


def test_what_makes_held_out_pictures_worse_is_not_kept(tmp_path):
    task = task_of(tmp_path, settings())
    model = task.build()
    torch.nn.init.normal_(model.decoder.added.weight, std=1.0)
    assert psnr(model, task) < psnr(kmeans_of(task), task) - 1
    spoilt = task.validate(model, 40)
    assert spoilt.alarm.startswith("what the decoder adds to k-means makes held-out pictures worse")
    task.settle(model)
    assert psnr(model, task) == pytest.approx(psnr(kmeans_of(task), task), abs=1e-3)
    assert task.validate(model, 40).alarm is None


def test_what_is_too_much_is_kept_in_part(tmp_path):
    task = task_of(tmp_path, settings())
    Trainer(task, task.cfg, open_folder(tmp_path / "out"), ALONE, silent).fit()
    model = weights.load_dvae(open_folder(tmp_path / "out"))
    good = psnr(model, task)
    model.decoder.scale_added(2.0)
    assert patches.keep_what_helps(model, task.validation_pictures()) == 0.5
    assert psnr(model, task) == pytest.approx(good, abs=1e-3)


def test_codes_that_are_too_few_are_told_with_the_settings_to_change():
    seen = {"psnr_db": 14.2, "kmeans_psnr_db": 14.0, "mean_colour_psnr_db": 14.0}
    found = alarm(seen, settings(), 40)
    assert found.endswith("raise tokens.image_vocab, now 16, or lower tokens.patch, now 4")
