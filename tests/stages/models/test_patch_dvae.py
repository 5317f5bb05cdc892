"""A dVAE that starts as k-means: the same codes and pictures at step 0, and held codes after it."""

import math

import pytest
import torch

from schemas.settings import DvaeShape
from stages.models.dvae import Dvae, elbo_terms, kl_to_uniform
from stages.models.patch_dvae import start_as
from stages.models.patch_kmeans import MIDDLE, PatchKmeans
from tests.stages.models.test_patch_kmeans import world

K = 24


def shape(patch):
    return DvaeShape(width=4, blocks=2, codebook_width=8, init="patches", patch=patch)


def pictures(start, count, side=32):
    return torch.stack([torch.from_numpy(one) for one in world(start, count, side)])


def pixels_of(found):
    return found.permute(0, 3, 1, 2) / 255


def started(patch, codes=K, train=None, variance=300.0):
    """A dVAE at step 0, in the layout of training, and the k-means that it is."""
    torch.manual_seed(0)
    dvae = Dvae(shape(patch), codes)
    kmeans = PatchKmeans.of(pictures(0, 12) if train is None else train, patch, codes)
    start_as(kmeans, dvae.encoder, dvae.decoder, variance)
    return dvae.to(memory_format=torch.channels_last), kmeans


@pytest.mark.parametrize("patch", [4, 8, 16])
def test_step_0_is_kmeans(patch):
    dvae, kmeans = started(patch)
    noise = torch.randint(0, 256, (6, 32, 32, 3), dtype=torch.uint8)
    for found in (pictures(1_000, 8), noise):
        pixels = pixels_of(found)
        codes = dvae.codes(pixels)
        assert torch.equal(codes, kmeans.codes(pixels))
        torch.testing.assert_close(dvae.decode(codes), kmeans.decode(codes), atol=1e-5, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(dvae.codes(pixels), codes)


def test_logits_are_of_gaussians_around_the_centres():
    """As wide as `variance` says, up to the power of two that is nearest to it."""
    dvae, kmeans = started(8, variance=256.0)
    pixels = pixels_of(pictures(1_000, 1))
    square = (255 * pixels[0, :, 8:16, 16:24]).round() - MIDDLE
    far = (square.permute(1, 2, 0).flatten() - kmeans.centres).square().sum(dim=1)
    expected = (-far / (2 * 256)).log_softmax(0)
    torch.testing.assert_close(dvae.logits(pixels)[0, :, 1, 2].log_softmax(0), expected)


def test_with_fewer_squares_than_codes_the_rest_is_never_used():
    few = pictures(0, 1, side=16)
    dvae, kmeans = started(8, train=few)
    assert len(kmeans.centres) < K
    pixels = pixels_of(pictures(1_000, 8))
    codes = dvae.codes(pixels)
    assert torch.equal(codes, kmeans.codes(pixels))
    assert kl_to_uniform(dvae.logits(pixels)).min() >= 0
    assert kl_to_uniform(dvae.logits(pixels)).max() <= math.log(K) + 1e-4


def test_codes_are_held_and_all_else_learns():
    dvae, _ = started(8)
    pixels = pixels_of(pictures(0, 8))
    before = {name: value.clone() for name, value in dvae.named_parameters()}
    codes = dvae.codes(pixels)
    learned = [weight for weight in dvae.parameters() if weight.requires_grad]
    adam = torch.optim.Adam(learned, lr=1e-3)
    losses = []
    for _ in range(30):
        terms = elbo_terms(dvae, pixels, temperature=1.0)
        adam.zero_grad()
        terms.reconstruction.backward()
        adam.step()
        losses.append(terms.reconstruction.item() / terms.values)
    assert losses[-1] < losses[0] - 0.1
    held = {name for name, value in dvae.named_parameters() if torch.equal(value, before[name])}
    assert held == {f"{part}.centres.{kind}" for part, kind in (
        ("encoder", "weight"), ("encoder", "bias"), ("decoder", "weight"), ("decoder", "bias")
    )}  # fmt: skip
    assert torch.equal(dvae.codes(pixels), codes)


def test_a_square_is_drawn_by_the_codes_around_it():
    """What is added to a centre depends on neighbours, and not on squares far away."""
    dvae, _ = started(4)
    torch.nn.init.normal_(dvae.decoder.added.weight, std=0.1)
    codes = torch.zeros(1, 24, 24, dtype=torch.long)
    plain = dvae.decode(codes)
    codes[0, 12, 12] = 1
    changed = (dvae.decode(codes) != plain).any(dim=1)[0]
    around = changed.reshape(24, 4, 24, 4).any(dim=3).any(dim=1)
    # Convolutions of 3 x 3: three in each of two blocks over squares, as many over cells, which are
    # half as large, then four in the last block, and the one that adds.
    reach = 2 * 3 + math.ceil((2 * 3 + 4 + 1) / 2)
    near = around[6:19, 6:19]  # the codes that the first blocks see
    assert near.all()
    around[12 - reach : 13 + reach, 12 - reach : 13 + reach] = False
    assert not around.any()


def test_a_share_of_what_is_added_lies_between_the_centre_and_all_of_it():
    dvae, _ = started(8)
    torch.nn.init.normal_(dvae.decoder.added.weight, std=0.1)
    codes = torch.randint(K, (2, 3, 4))
    whole, ln_b = dvae.decoder.from_codes(codes).chunk(2, dim=1)
    centres = dvae.decoder.centres_alone(codes)
    dvae.decoder.scale_added(0.25)
    mu, same = dvae.decoder.from_codes(codes).chunk(2, dim=1)
    torch.testing.assert_close(mu, 0.75 * centres + 0.25 * whole)
    assert torch.equal(same, ln_b)
    dvae.decoder.scale_added(0.0)
    assert torch.equal(dvae.decoder.from_codes(codes)[:, :3], centres)
