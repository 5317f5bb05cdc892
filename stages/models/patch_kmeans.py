"""K-means on patches: the simplest tokenizer with a codebook, which any dVAE has to beat.

A picture is cut into the squares that one code of the dVAE stands for. A square's code is the
nearest of K centres, and is drawn as that centre. Centres are those of Lloyd (1982), from a start
that draws several squares at a time, the farther ones more often (k-means||, Bahmani et al. 2012).

Levels and centres are whole numbers around zero. So all products and sums are exact in 32 bits, and
the same squares give the same centres on any number of threads and on any device.

Dimensions: b batch, H W pixels, h w codes, K centres, n squares, v values of a square (3 patch^2).
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor

MIDDLE = 128  # of 256 levels
STEPS = 10  # of Lloyd's; 30 more gain the demo 0.03 dB
DRAWS = 8  # of the start, each an eighth of the centres
PICTURES, SQUARES = 1_024, 65_536  # that are learned from: the first ones, and some of theirs
BATCH = 2_048  # squares compared with all centres at a time


@dataclass(frozen=True)
class PatchKmeans:
    """Codes and pictures as a Dvae has them, from a table of centres."""

    centres: Float[Tensor, "K v"]  # whole levels, MIDDLE taken away

    @classmethod
    def of(
        cls, pictures: UInt8[Tensor, "b H W 3"], patch: int, codes: int, seed: int = 0
    ) -> "PatchKmeans":
        """Find `codes` centres of the squares of some pictures, SQUARES of them at random."""
        squares = squares_of(pictures, patch)
        order = torch.randperm(len(squares), generator=torch.Generator().manual_seed(seed))
        return cls.fit(squares[order[:SQUARES]], codes, seed)

    @classmethod
    def fit(cls, squares: UInt8[Tensor, "n v"], codes: int, seed: int = 0) -> "PatchKmeans":
        """Find `codes` centres; fewer squares than that are all centres."""
        levels = squares.float() - MIDDLE
        generator = torch.Generator(levels.device).manual_seed(seed)
        centres = _start(levels, min(codes, len(levels)), generator)
        for _ in range(STEPS):
            centres = _step(levels, centres)
        return cls(centres)

    @property
    def patch(self) -> int:
        """Pixels per side of a square."""
        return math.isqrt(self.centres.shape[1] // 3)

    def codes(self, pixels: Float[Tensor, "b 3 H W"]) -> Int[Tensor, "b h w"]:
        """Return the nearest centre of each square, the first of equally near ones."""
        levels = (255 * pixels).round() - MIDDLE
        squares = squares_of(rearrange(levels, "b c h w -> b h w c"), self.patch)
        rows, columns = pixels.shape[2] // self.patch, pixels.shape[3] // self.patch
        own, _ = _nearest(squares, self.centres)
        return rearrange(own, "(b h w) -> b h w", h=rows, w=columns)

    def decode(self, codes: Int[Tensor, "b h w"]) -> Float[Tensor, "b 3 H W"]:
        """Draw the centre of each code, in [0, 1]."""
        squares = (self.centres[codes] + MIDDLE) / 255
        return rearrange(squares, "b h w (y x c) -> b c (h y) (w x)", y=self.patch, x=self.patch)


def squares_of(pictures: Tensor, patch: int) -> Tensor:
    """Cut (b, H, W, 3) into squares (n, v), picture by picture and row by row."""
    return rearrange(pictures, "b (h y) (w x) c -> (b h w) (y x c)", y=patch, x=patch)


def _nearest(
    levels: Float[Tensor, "n v"], centres: Float[Tensor, "K v"]
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
    """Return the nearest centre of each square, and the square of the distance to it."""
    half = centres.square().sum(dim=1) / 2
    found = [(half - part @ centres.T).min(dim=1) for part in levels.split(BATCH)]
    least = torch.cat([one.values for one in found])
    return torch.cat([one.indices for one in found]), levels.square().sum(dim=1) + 2 * least


def _start(
    levels: Float[Tensor, "n v"], count: int, generator: torch.Generator
) -> Float[Tensor, "K v"]:
    weights = torch.ones(len(levels), device=levels.device)
    centres = levels[:0]
    while len(centres) < count:
        wanted = min(count - len(centres), -(-count // DRAWS) if len(centres) else 1)
        drawn = levels[torch.multinomial(weights, wanted, generator=generator)]
        far = _nearest(levels, drawn)[1] + 1  # + 1: also where all squares are alike
        weights = torch.minimum(weights, far) if len(centres) else far
        centres = torch.cat([centres, drawn])
    return centres


def _step(levels: Float[Tensor, "n v"], centres: Float[Tensor, "K v"]) -> Float[Tensor, "K v"]:
    """Move each centre to the mean of its squares, and one without any to where it is worst."""
    own, error = _nearest(levels, centres)
    uses = torch.bincount(own, minlength=len(centres))
    sums = torch.zeros_like(centres, dtype=torch.float64).index_add_(0, own, levels.double())
    means = (sums / uses.clamp_min(1)[:, None]).round().float()
    unused = (uses == 0).nonzero().flatten()
    worst = error.sort(descending=True, stable=True).indices
    means[unused] = levels[worst[: len(unused)]]
    return means
