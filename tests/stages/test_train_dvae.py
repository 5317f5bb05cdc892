import itertools
import math
import multiprocessing
import time

import numpy as np
import pytest
import torch

from infra.store import open_folder
from schemas.settings import DvaeSettings
from stages import pictures, train_dvae, weights
from stages.models.dvae import Dvae, relaxed_sample
from stages.models.fidelity import ssim
from stages.pictures.tensors import from_tensor, to_tensor
from stages.train_dvae.measures import measure
from stages.train_dvae.task import DvaeTask
from stages.training import checkpoints
from stages.training.trainer import Trainer
from tests.stages.training.pairs import SIZES, clean_pairs, clean_row, inputs, tables
from tests.stages.training.toy import ALONE, SHORT, nodes, silent
from tests.stages.training.workers import fit, saved


def settings(**fit):
    return DvaeSettings(
        width=4, blocks=1, codebook_width=8, image_vocab=16, side=16,
        beta_ramp_share=0.5, temperature_share=0.5, **nodes(SHORT | fit),
    )  # fmt: skip


def task_of(root, cfg):
    return DvaeTask(cfg, *tables(root))


@pytest.fixture
def task(tmp_path):
    return task_of(tmp_path, settings())


def test_the_kl_weighs_beta_over_192():
    task = DvaeTask(DvaeSettings(), None, None)
    assert task.loss_weights(5_000)["kl"] == pytest.approx(6.6 / 192)
    finer = DvaeTask(DvaeSettings(patch=4), None, None)
    assert finer.loss_weights(5_000)["kl"] == pytest.approx(6.6 / 48)  # values of a code
    counts = finer.loss_counts({"pixels": torch.zeros(3, 256, 256, 3)})
    assert counts == {"reconstruction": 3 * 3 * 256**2, "kl": 3 * 64**2}
    assert task.loss_weights(0)["kl"] == 0
    assert task.schedule(0) == {"beta": 0, "temperature": 1}
    assert task.schedule(150_000)["temperature"] == pytest.approx(1 / 16)


def test_the_loss_is_the_bound_of_appendix_a2_written_out(task):
    """Reconstruction over all pixel values, KL over all codes, both divided by pixel values."""
    batch = {"pixels": torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)}
    batch["seed"] = torch.tensor([5, 6, 7])
    torch.manual_seed(0)
    model, step = task.build(), 2
    sums, counts = task.loss_sums(model, batch, step), task.loss_counts(batch)
    weight = task.loss_weights(step)
    loss = sum(weight[name] * sums[name] / counts[name] for name in sums)

    x = 0.8 * batch["pixels"].permute(0, 3, 1, 2) / 255 + 0.1
    noise = [torch.Generator().manual_seed(seed) for seed in (5, 6, 7)]
    logits, mu, ln_b = model((x - 0.1) / 0.8, task.schedule(step)["temperature"], noise)
    nll = math.log(2) + ln_b + x.log() + (1 - x).log() + (torch.logit(x) - mu).abs() / ln_b.exp()
    q = logits.softmax(1)
    kl = (q * (q.log() + math.log(16))).sum()
    beta = task.schedule(step)["beta"]
    assert loss.item() == pytest.approx(
        (nll.sum() + beta * kl).item() / (3 * 3 * 16 * 16), rel=1e-4
    )


def test_a_picture_is_cropped_anew_each_epoch_by_its_own_random_numbers(task):
    rows = itertools.islice(task.batches(0, ALONE), 5)  # 40 rows: one epoch
    first = torch.cat([batch["pixels"] for batch in rows])
    again = next(task.batches(0, ALONE))["pixels"]
    assert torch.equal(first[:8], again)
    (second,) = itertools.islice(task.batches(5, ALONE), 1)
    assert not torch.equal(first[:8], second["pixels"])
    assert first.shape == (SIZES["train"], 16, 16, 3)


def test_an_unreadable_picture_is_left_out_and_the_rest_learned_from(tmp_path):
    bad = [clean_row(n, image=b"no picture") for n in range(50, 80)]
    task = DvaeTask(settings(batch_size=70), *tables(tmp_path, *bad))
    assert len(next(task.batches(0, ALONE))["pixels"]) == SIZES["train"]


def test_it_learns_to_draw_and_says_how_well(task, tmp_path):
    out = open_folder(tmp_path / "out")
    health = Trainer(task, task.cfg, out, ALONE, silent).fit()
    assert set(health) >= {
        "elb_relaxed", "elb_true", "elb_gap", "kl_per_code", "psnr_db", "relaxed_psnr_db",
        "psnr_gap_db", "mean_colour_psnr_db", "ssim", "codes_used", "perplexity",
        "skipped_updates",
    }  # fmt: skip
    assert 1 <= health["perplexity"] <= health["codes_used"] <= 16
    model = weights.load_dvae(out)
    with out.open("pictures/reconstructions-00000008.png") as file:
        sheet = pictures.decode(file.read())
    assert sheet.shape == (2 * 18 + 2, 8 * 18 + 2, 3)
    original = pictures.crop_centre(pictures.decode(clean_row(SIZES["train"])["image"]), 16)
    assert np.array_equal(sheet[2:18, 2:18], original)
    drawn = model.decode(model.codes(to_tensor([original])))
    assert np.array_equal(sheet[20:36, 2:18], from_tensor(drawn)[0])


def test_measures_are_those_of_pictures_decoded_from_codes_without_noise(task):
    pixels = torch.randint(0, 256, (6, 16, 16, 3), dtype=torch.uint8)
    model = Dvae(task.cfg, 16).eval()
    with torch.no_grad():
        found, drawn = measure(model, pixels, temperature=0.5, batch_size=4)
        real = to_tensor(pixels)
        again = model.decode(model.codes(real))
        flat = real.mean((2, 3), keepdim=True)
    assert found["psnr_db"] == pytest.approx(-10 * math.log10(((again - real) ** 2).mean()))
    assert found["mean_colour_psnr_db"] == pytest.approx(
        -10 * math.log10(((flat - real) ** 2).mean())
    )
    assert found["ssim"] == pytest.approx(ssim(again, real).mean().item(), abs=1e-5)
    assert found["codes_used"] == len(model.codes(real).unique())
    assert np.array_equal(drawn, from_tensor(again))


def test_what_training_sees_is_measured_beside_what_encode_will_give(task):
    """One picture, one draw of the noise: the relaxed bound and picture by hand."""
    pixels = torch.randint(0, 256, (1, 16, 16, 3), dtype=torch.uint8)
    model = Dvae(task.cfg, 16).eval()
    for parameter in model.parameters():  # a fresh one draws the same whatever the codes
        torch.nn.init.normal_(parameter, std=0.3)
    real, heat = to_tensor(pixels), 0.7
    with torch.no_grad():
        torch.manual_seed(0)
        found, _ = measure(model, pixels, heat, batch_size=1)
        torch.manual_seed(0)
        logits = model.logits(real)
        soft = relaxed_sample(logits, heat)
        hard = relaxed_sample(logits, 0.0)
        x = 0.8 * real + 0.1
        nats = {}
        for name, z in (("relaxed", soft), ("true", hard)):
            mu, ln_b = model.decoder(z).chunk(2, dim=1)
            nll = (2 * ln_b.exp() * x * (1 - x)).log() + (x.logit() - mu).abs() / ln_b.exp()
            kl = (logits.softmax(1) * (logits.log_softmax(1) + math.log(16))).sum()
            nats[name] = (nll.sum() + kl).item() / x.numel()
        picture = ((model.decoder(soft)[:, :3].sigmoid() - 0.1) / 0.8).clamp(0, 1)
    assert found["elb_relaxed"] == pytest.approx(-nats["relaxed"], rel=1e-4)
    assert found["elb_true"] == pytest.approx(-nats["true"], rel=1e-4)
    assert found["elb_gap"] == pytest.approx(nats["true"] - nats["relaxed"], abs=1e-4)
    assert found["kl_per_code"] == pytest.approx(kl.item() / 4, rel=1e-4)
    decibels = -10 * math.log10(((picture - real) ** 2).mean())
    assert found["relaxed_psnr_db"] == pytest.approx(decibels, abs=1e-3)
    assert found["psnr_gap_db"] == pytest.approx(decibels - found["psnr_db"], abs=1e-3)


@pytest.mark.ray
def test_the_stage_on_two_ray_workers(tmp_path, ray_cluster):
    clean_pairs(tmp_path)
    out, cfg = open_folder(tmp_path / "out"), settings(workers=2)
    result = train_dvae.run(inputs(tmp_path), out, cfg)
    assert result.rows_in == SIZES["train"]
    assert "alarm" in result.health
    assert result.health["skipped_updates"] == 0
    assert out.list("checkpoints/") == []
    assert {"config.json", "metrics.jsonl", "model.safetensors", "trained.json"} <= set(out.list())
    out.remove("model.safetensors")
    assert train_dvae.run(inputs(tmp_path), out, cfg) == result
    assert not out.exists("model.safetensors")  # finished: nothing is made again


def begin(cfg, *job):
    torch.set_num_threads(1)  # as here
    fit(cfg, *job, ALONE)


def test_a_killed_run_goes_on_and_ends_with_the_weights_of_an_undisturbed_one(task, tmp_path):
    cfg = settings(steps=120, save_every=20)
    task = DvaeTask(cfg, task.train, task.held_out)
    out, undisturbed = open_folder(tmp_path / "out"), open_folder(tmp_path / "undisturbed")
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=begin, args=(cfg, task, out.path))
    process.start()
    while not checkpoints.steps(out) and process.is_alive():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert 0 < saved(out.path)["step"] < 120

    health = Trainer(task, cfg, out, ALONE, silent).fit()
    assert health == Trainer(task, cfg, undisturbed, ALONE, silent).fit()
    with out.open("model.safetensors") as ours, undisturbed.open("model.safetensors") as theirs:
        assert ours.read() == theirs.read()
