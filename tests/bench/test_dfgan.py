"""The DF-GAN that stands beside a run: its losses by hand, and that it learns at all."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.bench.dfgan import DfGan, batches
from tests.bench.dfgan_networks import (
    NOISE,
    PENALTY,
    POWER,
    DfDiscriminator,
    DfGenerator,
    discriminator_loss,
    gradient_penalty,
    widths,
)

SENTENCE = 5


def test_widths_are_those_of_the_paper():
    """256 pixels from 4 by six doublings (the released code at width 32)."""
    assert widths(32, 256) == [256, 256, 256, 256, 128, 64, 32]
    assert widths(32, 64) == [256, 256, 128, 64, 32]


def test_pictures_depend_on_noise_and_sentence_and_not_on_the_batch():
    torch.manual_seed(0)
    generator, discriminator = DfGenerator(SENTENCE, 2, 16), DfDiscriminator(SENTENCE, 2, 16)
    for affine in generator.modules():
        if isinstance(affine, nn.Linear):
            nn.init.normal_(affine.weight, std=0.03)
    noise, sentences = torch.randn(3, NOISE), torch.randn(3, SENTENCE)
    drawn = generator(noise, sentences)
    assert drawn.shape == (3, 3, 16, 16)
    assert drawn.abs().max() < 1
    alone = generator(noise[1:2], sentences[1:2])
    assert torch.allclose(drawn[1:2], alone, atol=1e-5)
    assert not torch.allclose(drawn[1:2], generator(noise[1:2], sentences[2:]), atol=1e-3)
    assert not torch.allclose(drawn[1:2], generator(noise[2:], sentences[1:2]), atol=1e-3)
    assert discriminator(drawn, sentences).shape == (3,)


def test_the_hinge_loss_by_hand():
    real, drawn, mismatched = map(torch.tensor, ([2.0, 0.5], [-3.0, 0.0], [1.0, -1.0]))
    assert discriminator_loss(real, drawn, mismatched) == pytest.approx(0.25 + (0.5 + 1.0) / 2)


def test_the_gradient_penalty_by_hand():
    """A score of <w, picture> + <v, sentence> has the same gradient everywhere."""
    w, v = torch.randn(3, 4, 4), torch.randn(SENTENCE)

    class Plain(nn.Module):
        def forward(self, pictures, sentences):
            return (pictures * w).sum(dim=(1, 2, 3)) + sentences @ v

    found = gradient_penalty(Plain(), torch.randn(2, 3, 4, 4), torch.randn(2, SENTENCE))
    norm = (w.square().sum() + v.square().sum()).sqrt()
    assert found.item() == pytest.approx(PENALTY * norm.item() ** POWER, rel=1e-4)


def test_its_discriminator_learns_what_is_real():
    """Of one batch over and over, so that its loss cannot but fall below that of a coin."""
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8))
    sentences = torch.eye(8, SENTENCE)
    gan = DfGan(SENTENCE, 8, width=8)
    losses = [gan.update(pictures, sentences)[1] for _ in range(60)]
    assert losses[0] == pytest.approx(2, abs=0.2)
    assert losses[-1] < losses[0] - 0.1
    assert gan.draw(sentences, 0)[0].shape == (8, 8, 3)


def test_every_picture_is_seen_once_an_epoch_with_its_own_sentence():
    pictures = torch.arange(48, dtype=torch.uint8)[:, None, None, None].expand(-1, 8, 8, 3)
    sentences = torch.arange(48.0)[:, None]
    epoch = [batch for _, batch in zip(range(2), batches(pictures, sentences), strict=False)]
    assert sorted(torch.cat([own[:, 0, 0, 0] for own, _ in epoch]).tolist()) == list(range(48))
    for own, said in epoch:
        assert torch.equal(own[:, 0, 0, 0].float(), said[:, 0])
