"""The networks of a dVAE that starts as k-means on patches (`dvae.init = patches`).

At first the encoder is a table of centres: a code's logit falls with the squared distance of the
square to the code's centre, which is a linear layer. The decoder draws the centre. So step 0 is
`patch_kmeans` to the bit, with hard codes. The centres are held. What learns is what the decoder
adds to the picture of the centres: groups of residual blocks as in the paper's decoder, from the
grid of codes to cells of 2 x 2 pixels. There they also see that picture, so they can hide the seams
between squares. Cells of a pixel cost half as much again, and draw no better in the same time
(tests/bench/LOG.md).

The logits are those of a mixture of Gaussians around the centres, as wide as the squares lie from
theirs. They are sharp, so codes are nearly certain, and nothing is gained by drawing them: training
has the likeliest code, as encode has (see tests/bench/LOG.md for what else was tried).

Dimensions: b batch, H W pixels, h w codes, K size of the codebook, v values of a square.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from schemas.settings import DvaeShape
from stages.models.dvae_networks import (
    Block,
    Codebook,
    CodeGrid,
    CodeLogits,
    Conv2d,
    FullPrecisionConv2d,
    Pictures,
    Upsample,
    block_groups,
    group_widths,
    map_pixels,
    unmap_pixels,
)
from stages.models.patch_kmeans import MIDDLE, PatchKmeans

CELL = 2  # pixels along a side of what is drawn at once
GAIN = 1 / 2  # of a block: what is added starts at zero, so no more is needed for a stable start


class PatchEncoder(nn.Module):
    """From mapped pixels to the logits of every centre at every position of the grid."""

    def __init__(self, shape: DvaeShape, image_vocab: int) -> None:
        super().__init__()
        self.patch = shape.patch
        self.centres = FullPrecisionConv2d(3 * self.patch**2, image_vocab).requires_grad_(False)

    def forward(self, mapped: Pictures) -> CodeLogits:
        levels = (255 * unmap_pixels(mapped)).round() - MIDDLE  # whole: sums of them are exact
        squares = "b c (h y) (w x) -> b (y x c) h w"
        return self.centres(rearrange(levels, squares, y=self.patch, x=self.patch))


class PatchDecoder(nn.Module):
    """From (soft) one-hot codes to two numbers per pixel value: mu, then ln b, of its Laplace."""

    def __init__(self, shape: DvaeShape, image_vocab: int) -> None:
        super().__init__()
        self.patch, values = shape.patch, 3 * shape.patch**2
        channels = group_widths(shape)[1:]  # of cells, ..., of squares
        self.centres = Codebook(image_vocab, values).requires_grad_(False)
        self.codebook = Codebook(image_vocab, shape.codebook_width)
        groups = block_groups(
            [shape.codebook_width, *reversed(channels)],
            blocks=shape.blocks,
            kernels=(1, 3, 3, 3),
            resize=("upsample", Upsample()),
            gain=GAIN,
        )
        cell = 3 * CELL**2
        self.blocks = nn.Sequential(groups)
        self.drawn = Conv2d(cell, channels[0], 3)
        self.last = Block(channels[0], channels[0], (3, 3, 3, 3), GAIN)
        self.added, self.ln_b = Conv2d(channels[0], cell, 3), Conv2d(channels[0], cell, 3)
        nn.init.zeros_(self.added.weight)
        nn.init.zeros_(self.ln_b.weight)

    def forward(self, z: CodeLogits) -> Float[Tensor, "b 6 H W"]:
        return self._maps(self.centres(z), self.codebook(z))

    def from_codes(self, codes: CodeGrid) -> Float[Tensor, "b 6 H W"]:
        """Return `forward` of the one-hot of `codes`."""
        return self._maps(self.centres.lookup(codes), self.codebook.lookup(codes))

    def _maps(
        self, centres: Float[Tensor, "b v h w"], embedded: Float[Tensor, "b d h w"]
    ) -> Float[Tensor, "b 6 H W"]:
        mu = self._laid_out(centres)
        found = self.last(self.blocks(embedded) + self.drawn(F.pixel_unshuffle(mu, CELL)))
        mu = mu + F.pixel_shuffle(self.added(found).float(), CELL)
        ln_b = self.ln_b(found.detach()).float()  # what it learns moves no picture
        return torch.cat([mu, F.pixel_shuffle(ln_b, CELL)], dim=1)

    def _laid_out(self, squares: Float[Tensor, "b v h w"]) -> Pictures:
        order = "b (y x c) h w -> b c (h y) (w x)"
        return rearrange(squares, order, y=self.patch, x=self.patch)

    def centres_alone(self, codes: CodeGrid) -> Pictures:
        """Return mu as it was at step 0."""
        return self._laid_out(self.centres.lookup(codes))

    @torch.no_grad()
    def scale_added(self, share: float) -> None:
        """Multiply what is added to the centres by `share`."""
        for weights in self.added.parameters():
            weights.mul_(share)


@torch.no_grad()
def start_as(
    kmeans: PatchKmeans,
    encoder: PatchEncoder,
    decoder: PatchDecoder,
    variance: float,
    ln_b: float = 0.0,
) -> None:
    """Make the networks draw what `kmeans` draws; fewer centres than codes leave some unused.

    `variance` is the mean square of a level's distance to its centre, and `ln_b` the logarithm of
    the mean distance in logits. The logits' scale is rounded to a power of two: they are exact.
    """
    scale = 2.0 ** round(math.log2(1 / max(1.0, variance)))  # twice that of a squared distance
    missing = encoder.centres.out_channels - len(kmeans.centres)
    centres = torch.cat([kmeans.centres, kmeans.centres[:1].expand(missing, -1)])
    bias = -scale * centres.square().sum(dim=1) / 2
    bias[len(kmeans.centres) :] -= 1  # beaten by the code whose centre it repeats
    assert encoder.centres.bias is not None
    encoder.centres.weight.copy_(rearrange(scale * centres, "k v -> k v 1 1"))
    encoder.centres.bias.copy_(bias)
    mu = torch.logit(map_pixels((centres + MIDDLE) / 255))
    decoder.centres.weight.copy_(rearrange(mu, "k v -> v k 1 1"))
    assert decoder.ln_b.bias is not None
    decoder.ln_b.bias.fill_(ln_b)
