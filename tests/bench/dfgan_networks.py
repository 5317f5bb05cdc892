"""DF-GAN's generator, discriminator and losses (Tao et al. 2022), written from the paper.

One stage: noise becomes a grid of 4 x 4, and each block doubles its side. In every block the
sentence scales and shifts the features four times, each time before a leaky ReLU (section 3.3).
The discriminator gives a picture and a sentence one score (one-way output, section 3.4); its
gradient is penalised at real pictures with their own sentences (MA-GP, equation 2).

Dimensions: b batch, c channels, s the picture's side, z noise, d of a sentence.
"""

import itertools

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

NOISE = 100  # numbers that a picture is drawn from
GRID = 4  # where the generator begins and the discriminator ends
WIDEST = 8  # times the width, next to the grid
SLOPE = 0.2
PENALTY, POWER = 2.0, 6.0  # of the gradient's norm

Maps = Float[Tensor, "b c h w"]
Pictures = Float[Tensor, "b 3 s s"]  # in [-1, 1]
Sentences = Float[Tensor, "b d"]
Scores = Float[Tensor, " b"]


def widths(width: int, side: int) -> list[int]:
    """Return the channels of each side from the grid's to the picture's."""
    doublings = (side // GRID).bit_length() - 1
    assert side == GRID << doublings
    return [width * min(WIDEST, 1 << (doublings - n)) for n in range(doublings + 1)]


class Affine(nn.Module):
    """Scale and shift each channel by what a condition says; at first by 1 and 0."""

    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = (
            nn.Sequential(nn.Linear(condition, 256), nn.ReLU(), nn.Linear(256, channels))
            for _ in range(2)
        )
        for network, start in ((self.scale, 1.0), (self.shift, 0.0)):
            last = network[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, start)

    def forward(self, maps: Maps, condition: Sentences) -> Maps:
        scale, shift = self.scale(condition), self.shift(condition)
        return maps * scale[:, :, None, None] + shift[:, :, None, None]


class FusionBlock(nn.Module):
    """Two affine layers, each with its leaky ReLU, then a convolution; twice (figure 4)."""

    def __init__(self, condition: int, ins: int, outs: int) -> None:
        super().__init__()
        sizes = (ins, ins, outs, outs)
        self.affine = nn.ModuleList(Affine(condition, size) for size in sizes)
        self.convolve = nn.ModuleList(
            [nn.Conv2d(ins, outs, 3, padding=1), nn.Conv2d(outs, outs, 3, padding=1)]
        )
        self.skip = nn.Conv2d(ins, outs, 1) if ins != outs else nn.Identity()

    def forward(self, maps: Maps, condition: Sentences) -> Maps:
        found = maps
        for n, affine in enumerate(self.affine):
            found = F.leaky_relu(affine(found, condition), SLOPE)
            if n % 2:
                found = self.convolve[n // 2](found)
        return self.skip(maps) + found


class DfGenerator(nn.Module):
    """From noise and sentences to pictures."""

    def __init__(self, sentence: int, width: int, side: int) -> None:
        super().__init__()
        sizes, condition = widths(width, side), sentence + NOISE
        self.start = nn.Linear(NOISE, sizes[0] * GRID**2)
        self.blocks = nn.ModuleList(
            FusionBlock(condition, ins, outs) for ins, outs in itertools.pairwise(sizes)
        )
        self.draw = nn.Conv2d(sizes[-1], 3, 3, padding=1)

    def forward(self, noise: Float[Tensor, "b z"], sentences: Sentences) -> Pictures:
        condition = torch.cat([noise, sentences], dim=1)
        maps = self.start(noise).unflatten(1, (-1, GRID, GRID))
        for block in self.blocks:
            maps = block(F.interpolate(maps, scale_factor=2.0), condition)
        return torch.tanh(self.draw(F.leaky_relu(maps, SLOPE)))


class HalvingBlock(nn.Module):
    """Halve the side; what the convolutions add is scaled by a number that starts at 0."""

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(ins, outs, 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(outs, outs, 3, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
        )
        self.skip = nn.Conv2d(ins, outs, 1) if ins != outs else nn.Identity()
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Maps) -> Maps:
        return F.avg_pool2d(self.skip(maps), 2) + self.share * self.residual(maps)


class DfDiscriminator(nn.Module):
    """From pictures and sentences to a score: above 0 for real pictures of what is said."""

    def __init__(self, sentence: int, width: int, side: int) -> None:
        super().__init__()
        sizes = widths(width, side)[::-1]
        halvings = itertools.pairwise(sizes)
        self.see = nn.Sequential(
            nn.Conv2d(3, sizes[0], 3, padding=1), *(HalvingBlock(*pair) for pair in halvings)
        )
        self.judge = nn.Sequential(
            nn.Conv2d(sizes[-1] + sentence, 2 * width, 3, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(2 * width, 1, GRID, bias=False),
        )

    def forward(self, pictures: Pictures, sentences: Sentences) -> Scores:
        everywhere = repeat(sentences, "b d -> b d h w", h=GRID, w=GRID)
        return self.judge(torch.cat([self.see(pictures), everywhere], dim=1)).flatten()


def discriminator_loss(real: Scores, drawn: Scores, mismatched: Scores) -> Float[Tensor, ""]:
    """Return the hinge loss; `mismatched` are real pictures with the sentences of others."""
    others = (F.relu(1 + drawn).mean() + F.relu(1 + mismatched).mean()) / 2
    return F.relu(1 - real).mean() + others


def gradient_penalty(
    discriminator: nn.Module, pictures: Pictures, sentences: Sentences
) -> Float[Tensor, ""]:
    """Return PENALTY times the mean norm of the gradient by both, to the power of POWER."""
    inputs = [pictures.detach().requires_grad_(), sentences.detach().requires_grad_()]
    found = torch.autograd.grad(discriminator(*inputs).sum(), inputs, create_graph=True)
    together = torch.cat([one.flatten(1) for one in found], dim=1)
    return PENALTY * (together.norm(dim=1) ** POWER).mean()
