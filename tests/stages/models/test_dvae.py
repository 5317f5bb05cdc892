"""The discrete VAE against the paper's section 2.1 and appendices A.1 to A.3, written out."""

import math

import pytest
import torch
from torch import nn

from schemas.settings import DvaeShape
from stages.models import dvae_networks as module
from stages.models.dvae import (
    Dvae,
    elbo_terms,
    kl_to_uniform,
    logit_laplace_nll,
    map_pixels,
    relaxed_sample,
    unmap_pixels,
)
from stages.models.dvae_networks import Upsample
from stages.models.fidelity import psnr_db
from stages.training.schedules import cosine
from tests.stages.models.losses import elbo_loss

K = 12


@pytest.fixture
def dvae() -> Dvae:
    torch.manual_seed(0)
    return Dvae(DvaeShape(width=4, blocks=1, codebook_width=5), K)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))


def test_a_block_is_its_skip_path_plus_its_gain_times_its_residual_path():
    block = module.Block(3, 8, (3, 1), gain=0.25)
    x = torch.randn(1, 3, 5, 5)
    res = block.res_path.conv_1(x.relu()).relu()
    expected = block.id_path(x) + 0.25 * block.res_path.conv_2(res)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(("patch", "widths"), [(4, [4, 8, 16]), (16, [4, 8, 16, 32, 64])])
def test_a_code_of_other_sizes_has_a_group_more_or_less(patch, widths):
    """The halvings of `patch` lie between groups, and channels double with each."""
    dvae = Dvae(DvaeShape(width=4, blocks=2, codebook_width=5, patch=patch), K)
    for network, name, order in ((dvae.encoder, "pool", 1), (dvae.decoder, "upsample", -1)):
        groups = [part for part in network.blocks if hasattr(part, "block_1")]
        found = [group.block_2.res_path.conv_4.out_channels for group in groups]
        assert found[::order] == widths
        assert [hasattr(group, name) for group in groups] == [True] * (len(widths) - 1) + [False]
        assert {group.block_1.gain for group in groups} == {1 / (2 * len(widths)) ** 2}


def test_fresh_weights_have_the_released_spread():
    torch.manual_seed(0)
    conv = module.Conv2d(64, 64, 3)
    assert conv.weight.std().item() == pytest.approx(1 / math.sqrt(64 * 9), rel=0.05)
    assert (conv.bias == 0).all()
    assert module.Codebook(64, 64).weight.std().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(("mu", "b"), [(0.0, 1.0), (-1.3, 0.4), (2.0, 0.7)])
def test_the_density_of_one_pixel_is_equation_2_and_integrates_to_one(mu, b):
    logit = torch.linspace(-20, 20, 400_001, dtype=torch.double)
    x = 1 / (1 + (-logit).exp())
    nats = logit_laplace_nll(x, torch.full_like(x, mu), torch.full_like(x, math.log(b)))
    density = (-nats).exp()
    equation_2 = (-(logit - mu).abs() / b).exp() / (2 * b * x * (1 - x))
    torch.testing.assert_close(density, equation_2, rtol=1e-6, atol=0)
    assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=1e-4)


def test_pixels_map_to_the_inner_eight_tenths_and_back():
    pixels = torch.tensor([0.0, 0.25, 1.0])
    torch.testing.assert_close(map_pixels(pixels), torch.tensor([0.1, 0.3, 0.9]))
    torch.testing.assert_close(unmap_pixels(map_pixels(pixels)), pixels)
    torch.testing.assert_close(unmap_pixels(torch.tensor([0.0, 1.0])), torch.tensor([0.0, 1.0]))


def test_kl_is_the_sum_over_codes_of_q_times_log_q_over_uniform():
    logits = torch.randn(1, 3, 1, 2, dtype=torch.double)
    for place in range(2):
        weights = [math.exp(logits[0, k, 0, place].item()) for k in range(3)]
        q = [w / sum(weights) for w in weights]
        by_hand = sum(p * (math.log(p) - math.log(1 / 3)) for p in q)
        assert kl_to_uniform(logits)[0, 0, place].item() == pytest.approx(by_hand)
    assert kl_to_uniform(torch.zeros(1, 7, 1, 1)).abs().max() < 1e-6
    certain = torch.tensor([0.0, 200.0]).reshape(1, 2, 1, 1)
    torch.testing.assert_close(kl_to_uniform(certain).item(), math.log(2))


def test_the_loss_divides_both_sums_by_the_number_of_pixel_values(dvae, pixels):
    terms = elbo_terms(dvae, pixels, 0.5, torch.Generator().manual_seed(3))
    logits, mu, ln_b = dvae(pixels, 0.5, torch.Generator().manual_seed(3))
    target = 0.8 * pixels + 0.1
    logit = (target / (1 - target)).log()
    nats = (2 * ln_b.exp() * target * (1 - target)).log() + (logit - mu).abs() / ln_b.exp()
    kl = kl_to_uniform(logits)
    by_hand = (nats.sum() + 6.6 * kl.sum()) / (2 * 3 * 16 * 24)
    torch.testing.assert_close(elbo_loss(terms, 6.6), by_hand)
    assert (terms.values, terms.positions) == (2 * 3 * 16 * 24, 2 * 2 * 3)
    # 8 x 8 pixels of 3 values per code: 192
    torch.testing.assert_close(elbo_loss(terms, 6.6), nats.mean() + 6.6 / 192 * kl.mean())


@torch.no_grad()
def test_the_weight_of_the_kl_does_not_depend_on_the_batch_size(dvae, pixels):
    once, thrice = (elbo_terms(dvae, pixels.repeat(n, 1, 1, 1), 1.0) for n in (1, 3))
    torch.testing.assert_close(once.kl / once.values, thrice.kl / thrice.values)


def test_relaxed_codes_are_distributions_that_gradients_pass_through():
    logits = torch.randn(2, K, 3, 3, requires_grad=True)
    z = relaxed_sample(logits, 0.7)
    torch.testing.assert_close(z.sum(dim=1), torch.ones(2, 3, 3))
    assert (z > 0).sum() == z.numel()  # relaxed forwards too, not straight-through
    z[:, 0].sum().backward()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_mean_gradient_of_relaxed_samples_is_that_of_finite_differences(temperature):
    """Of the mean of a curved function; each mean has noise of its own, none shares a seed."""
    logits, draws, step = torch.tensor([0.3, -0.5, 0.1]), 300_000, 0.1

    def mean(logits, seed):
        every = logits.reshape(1, 3, 1, 1).expand(draws, 3, 1, 1)
        z = relaxed_sample(every, temperature, torch.Generator().manual_seed(seed))
        return (z * torch.tensor([1.0, 2.0, -1.0]).reshape(1, 3, 1, 1)).sum(1).square().mean()

    leaf = logits.clone().requires_grad_()
    mean(leaf, 0).backward()
    differences = [
        (mean(logits + shift, 2 * k + 1) - mean(logits - shift, 2 * k + 2)) / (2 * step)
        for k, shift in enumerate(step * torch.eye(3))
    ]
    assert leaf.grad.abs().max() > 0.2
    torch.testing.assert_close(leaf.grad, torch.stack(differences), atol=0.03, rtol=0)


def test_samples_at_temperature_zero_follow_the_softmax():
    logits = torch.tensor([0.0, 1.0, 2.0]).reshape(1, 3, 1, 1).expand(1, 3, 200, 200)
    z = relaxed_sample(logits, 0.0, torch.Generator().manual_seed(0))
    assert set(z.unique().tolist()) == {0.0, 1.0}
    share = z.mean(dim=(0, 2, 3))
    torch.testing.assert_close(share, torch.tensor([0.0, 1.0, 2.0]).softmax(0), atol=0.01, rtol=0)


def test_relaxed_and_hard_samples_of_the_same_noise_agree():
    """softmax((logits + gumbel) / tau): the noise can be read back, and it is Gumbel's."""
    logits = torch.randn(1, K, 50, 50)
    relaxed, hard = (
        relaxed_sample(logits, tau, torch.Generator().manual_seed(0)) for tau in (2.0, 0.0)
    )
    assert (relaxed.argmax(1) == hard.argmax(1)).all()
    noise = 2 * relaxed.log() - logits
    spread = (noise - noise.mean(dim=1, keepdim=True)).square().sum(dim=1).mean() / (K - 1)
    assert spread.item() == pytest.approx(math.pi**2 / 6, rel=0.05)


def test_hard_codes_through_the_codebook_are_a_lookup(dvae):
    nn.init.normal_(dvae.decoder.codebook.bias)
    codes = torch.randint(K, (2, 3, 4))
    one_hot = nn.functional.one_hot(codes, K).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(dvae.decoder.from_codes(codes), dvae.decoder(one_hot))


def test_a_picture_is_the_sigmoid_of_mu_with_the_map_undone(dvae):
    codes = torch.randint(K, (1, 2, 2))
    mu = dvae.decoder.from_codes(codes)[:, :3]
    expected = ((1 / (1 + (-mu).exp()) - 0.1) / 0.8).clamp(0, 1)
    torch.testing.assert_close(dvae.decode(codes), expected)
    assert dvae.decode(codes).shape == (1, 3, 16, 16)


def test_codes_are_the_likeliest_ones_without_noise(dvae, pixels):
    codes = dvae.codes(pixels)
    assert codes.shape == (2, 2, 3)
    assert (codes == dvae.logits(pixels).argmax(1)).all()
    assert (codes == dvae.codes(pixels)).all()


def test_sampled_codes_are_those_of_a_sample_at_temperature_zero(dvae, pixels):
    noise = [torch.Generator().manual_seed(row) for row in (5, 6)]
    codes = dvae.sampled_codes(pixels, noise)
    again = [torch.Generator().manual_seed(row) for row in (5, 6)]
    one_hot = relaxed_sample(dvae.logits(pixels), 0.0, again)
    assert torch.equal(codes, one_hot.argmax(dim=1))
    assert not torch.equal(codes, dvae.codes(pixels))


def test_around_the_relaxation_all_is_in_32_bits_under_autocast(dvae, pixels):
    dvae, pixels = (x.to(memory_format=torch.channels_last) for x in (dvae, pixels))
    with torch.autocast("cpu", torch.bfloat16):
        terms = elbo_terms(dvae, pixels, 0.5)
        logits = dvae.logits(pixels)
        embedded = dvae.decoder.codebook(relaxed_sample(logits, 0.5))
    assert {x.dtype for x in (terms.reconstruction, logits, embedded)} == {torch.float32}
    elbo_loss(terms, 6.6).backward()
    assert all(p.grad.isfinite().all() for p in dvae.parameters())


def test_it_learns_one_batch_by_heart():
    """Pictures of four squares in four colours: hard codes draw them again, the same to see."""
    torch.manual_seed(0)
    colours = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.9, 0.9, 0.9]])
    which = torch.randint(4, (8, 2, 2))
    pictures = colours[which].permute(0, 3, 1, 2).repeat_interleave(8, 2).repeat_interleave(8, 3)
    dvae = Dvae(DvaeShape(width=32, blocks=1, codebook_width=32), 32)
    dvae, pictures = (x.to(memory_format=torch.channels_last) for x in (dvae, pictures))
    optimizer = torch.optim.AdamW(dvae.parameters(), betas=(0.9, 0.99))
    steps = 400
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, length=steps, start=1e-3, end=2e-5)
        temperature = cosine(step, length=0.7 * steps, start=1.0, end=1 / 16)
        beta = cosine(step, length=0.1 * steps, start=0.0, end=10.0)
        optimizer.zero_grad()
        elbo_loss(elbo_terms(dvae, pictures, temperature), beta).backward()
        nn.utils.clip_grad_norm_(dvae.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        drawn = dvae.decode(dvae.codes(pictures))
    assert psnr_db((drawn - pictures).square().mean().item()) > 35


def test_pictures_are_doubled_in_parts_where_there_are_many_numbers(monkeypatch):
    x = torch.randn(5, 3, 2, 4, requires_grad=True)
    wanted = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    gradient = torch.randn_like(wanted)
    monkeypatch.setattr("stages.models.dvae_networks.INT32_MAX", 2 * wanted[0].numel())
    found = Upsample()(x)
    assert torch.equal(found, wanted)
    torch.testing.assert_close(
        torch.autograd.grad(found, x, gradient), torch.autograd.grad(wanted, x, gradient)
    )


@pytest.mark.gpu
def test_a_gpu_encodes_and_learns_from_more_than_two_billion_numbers_at_once():
    """The paper's width and pictures: 128 in a tile of `encode`, 64 in a step."""
    torch.manual_seed(0)
    dvae = Dvae(DvaeShape(), 8_192).to("cuda", memory_format=torch.channels_last)
    pixels = torch.rand(128, 3, 256, 256, device="cuda")
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        whole, parts = dvae.codes(pixels), [dvae.codes(part) for part in pixels.split(32)]
    assert (whole == torch.cat(parts)).double().mean() > 0.95  # near ties fall either way
    with torch.autocast("cuda", torch.bfloat16):
        elbo_loss(elbo_terms(dvae, pixels[:64], 1.0), 1.0).backward()
    assert all(weight.grad.isfinite().all() for weight in dvae.parameters())
