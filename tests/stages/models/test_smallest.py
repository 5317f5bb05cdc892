"""The smallest sizes that settings allow: what can be trained can be drawn."""

import itertools

import pytest
import torch

from schemas.settings import DvaeShape, PriorShape, TokenSpec
from stages.models.dvae import Dvae, elbo_terms
from stages.models.fidelity import ssim
from stages.models.prior import Prior, prior_terms
from stages.models.sampler import Sampler
from tests.stages.models.losses import prior_loss

SIZES = list(itertools.product((1, 2), (1, 3), (1, 2), (1, 2)))  # grid, text, codes, layers


def prior_of(grid, text_len, codes, layers, **changes):
    tokens = TokenSpec(text_vocab=256, text_len=text_len, image_vocab=codes, grid=grid)
    shape = PriorShape(layers=layers, heads=1, head_dim=4, conv_kernel=3, **changes)
    torch.manual_seed(0)
    prior = Prior(tokens, shape)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.normal_(std=0.5)
    text = torch.randint(257, (2, text_len))
    return prior, text, torch.randint(codes, (2, grid**2))


@pytest.mark.parametrize(("grid", "text_len", "codes", "layers"), SIZES)
@pytest.mark.parametrize("attention", ["sparse", "dense"])
def test_a_prior_of_any_size_learns_and_draws(grid, text_len, codes, layers, attention):
    prior, text, image = prior_of(grid, text_len, codes, layers, attention=attention)
    prior_loss(prior_terms(prior, text, image)).backward()
    assert all(weight.grad.isfinite().all() for weight in prior.parameters())
    for candidates, tile in ((1, 1), (3, 2)):
        seeds = torch.arange(2 * candidates).view(2, candidates)
        drawn = Sampler(prior.eval(), tile=tile).draw(text, seeds).codes
        assert drawn.shape == (2, candidates, grid**2)
        assert 0 <= drawn.min() <= drawn.max() < codes


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_the_only_code_of_a_picture_is_drawn_by_its_own_odds(positions):
    """By the last text slot's, as the forward pass has them."""
    prior, text, _ = prior_of(1, 2, 3, 2, positions=positions)
    with torch.no_grad():
        _, logits = prior(text, torch.zeros(2, 0, dtype=torch.long))
    count = 2_000
    drawn = Sampler(prior.eval(), tile=64).draw(text, torch.arange(2 * count).view(2, count)).codes
    for row in range(2):
        found = drawn[row].flatten().bincount(minlength=3) / count
        torch.testing.assert_close(found, logits[row, 0].softmax(0), rtol=0, atol=0.05)


@pytest.mark.parametrize("patch", [4, 8, 16])
@pytest.mark.parametrize(("grid", "codes", "rows"), list(itertools.product((1, 2), (1, 2), (0, 1))))
def test_a_dvae_of_any_size_learns_and_decodes_any_number_of_pictures(grid, codes, rows, patch):
    dvae = Dvae(DvaeShape(width=4, blocks=1, codebook_width=1, patch=patch), codes)
    pixels = torch.rand(rows, 3, patch * grid, patch * grid)
    assert dvae.codes(pixels).shape == (rows, grid, grid)
    elbo_terms(dvae, pixels, 0.5).reconstruction.backward()
    assert all(weight.grad.isfinite().all() for weight in dvae.decoder.parameters())
    assert dvae.decode(dvae.codes(pixels)).shape == pixels.shape


@pytest.mark.parametrize("side", [8, 16])
def test_the_likeness_of_the_smallest_pictures_is_a_number(side):
    one = torch.rand(2, 3, side, side)
    assert ssim(one, one).tolist() == pytest.approx([1.0, 1.0], abs=1e-4)
    assert ssim(one, 1 - one).isfinite().all()
