"""The discrete VAE: a picture becomes a small grid of codes, and codes become a picture.

Paper: section 2.1, appendices A.2 and A.3; the networks are in `dvae_networks`.

Public functions take and return pixels in [0, 1]; `map_pixels` is applied inside.

Dimensions: b batch, H W pixels, h w codes (H and W over the patch), K size of the codebook.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from schemas.settings import DvaeShape
from stages.models.dvae_networks import (
    CodeGrid,
    CodeLogits,
    Decoder,
    Encoder,
    Pictures,
    map_pixels,
    unmap_pixels,
)
from stages.models.patch_dvae import PatchDecoder, PatchEncoder

# The source of random numbers: torch's default, one generator, or one for each picture of a batch.
Noise = torch.Generator | Sequence[torch.Generator] | None


class Dvae(nn.Module):
    """Encoder and decoder; `forward` is the training pass through the relaxation."""

    def __init__(self, shape: DvaeShape, image_vocab: int) -> None:
        super().__init__()
        self.patch = shape.patch
        self.encoder: Encoder | PatchEncoder
        self.decoder: Decoder | PatchDecoder
        if shape.init == "patches":
            self.encoder = PatchEncoder(shape, image_vocab)
            self.decoder = PatchDecoder(shape, image_vocab)
        else:
            self.encoder = Encoder(shape, image_vocab)
            self.decoder = Decoder(shape, image_vocab)

    def forward(
        self, pixels: Pictures, temperature: float, generator: Noise = None
    ) -> tuple[CodeLogits, Pictures, Pictures]:
        """Return the encoder's logits, and mu and ln b of every pixel value.

        Codes that are held are always the likeliest ones, without noise.
        """
        logits = self.logits(pixels)
        if isinstance(self.decoder, PatchDecoder):
            maps = self.decoder.from_codes(logits.argmax(dim=1))
        else:
            maps = self.decoder(relaxed_sample(logits, temperature, generator))
        mu, ln_b = maps.chunk(2, dim=1)
        return logits, mu, ln_b

    def logits(self, pixels: Pictures) -> CodeLogits:
        """Return the logits of every code at every position of the grid."""
        return self.encoder(map_pixels(pixels))

    def codes(self, pixels: Pictures) -> CodeGrid:
        """Encode pictures: the likeliest code at every position (section 2.2, footnote 6)."""
        return self.logits(pixels).argmax(dim=1)

    def sampled_codes(self, pixels: Pictures, generator: Noise = None) -> CodeGrid:
        """Encode pictures with a code drawn by its probability at every position.

        For the prior this acts like label smoothing, which helps if it is large for its data (the
        first author, in the release's threads).
        """
        return with_gumbel_noise(self.logits(pixels), generator).argmax(dim=1)

    def decode(self, codes: CodeGrid) -> Pictures:
        """Decode pictures in [0, 1] from their codes."""
        return picture_of(self.decoder.from_codes(codes).chunk(2, dim=1)[0])


def picture_of(mu: Pictures) -> Pictures:
    """Return the likeliest picture in [0, 1] (appendix A.3: ln b is not used)."""
    return unmap_pixels(torch.sigmoid(mu))


def relaxed_sample(logits: CodeLogits, temperature: float, generator: Noise = None) -> CodeLogits:
    """Sample the Gumbel-softmax: nearly one-hot codes with gradients; at temperature 0, one-hots.

    Both passes are relaxed: no straight-through (the first author, in the release's threads).
    """
    noisy = with_gumbel_noise(logits, generator)
    if temperature == 0:
        one_hot = F.one_hot(noisy.argmax(dim=1), logits.shape[1]).to(logits.dtype)
        return rearrange(one_hot, "b h w k -> b k h w")
    # In channels_last the codes of a position are adjacent in memory: a softmax over the last
    # dimension is one pass, over the second it would copy first.
    z = (rearrange(noisy, "b k h w -> b h w k") / temperature).softmax(dim=-1)
    return rearrange(z, "b h w k -> b k h w")


def with_gumbel_noise(logits: CodeLogits, generator: Noise = None) -> CodeLogits:
    """Add Gumbel noise: the largest logit of each position is then a sample of the softmax."""
    exponential = torch.empty_like(logits)
    if isinstance(generator, Sequence):
        for row, own in zip(exponential, generator, strict=True):
            row.exponential_(generator=own)
    else:
        exponential.exponential_(generator=generator)
    return logits - exponential.clamp_min(torch.finfo(logits.dtype).tiny).log()


def logit_laplace_nll(
    target: Float[Tensor, "*shape"], mu: Float[Tensor, "*shape"], ln_b: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the nats of each mapped pixel value by equation 2; a density's, so maybe negative."""
    distance = (torch.logit(target) - mu).abs()
    jacobian = target.log() + (1 - target).log()
    return math.log(2) + ln_b + jacobian + distance * torch.exp(-ln_b)


def kl_to_uniform(logits: CodeLogits) -> Float[Tensor, "b h w"]:
    """Return KL(softmax(logits), uniform) in nats, of plain logits: no noise, no temperature."""
    ln_q = rearrange(logits, "b k h w -> b h w k").log_softmax(dim=-1)
    return (ln_q.exp() * ln_q).sum(dim=-1) + math.log(logits.shape[1])


class ElboTerms(NamedTuple):
    """Sums over a batch, so that those of batches and workers add up."""

    reconstruction: Float[Tensor, ""]  # nats
    kl: Float[Tensor, ""]  # nats
    values: int  # pixel values summed over: 3 H W per picture
    positions: int  # codes summed over: h w per picture


def elbo_terms(
    dvae: nn.Module, pixels: Pictures, temperature: float, generator: Noise = None
) -> ElboTerms:
    """Sum both terms of equation 1 over a batch; temperature 0 gives the true bound.

    `dvae` is a Dvae, or a distributed wrapper around one.
    """
    return terms_of(pixels, *dvae(pixels, temperature, generator))


def terms_of(pixels: Pictures, logits: CodeLogits, mu: Pictures, ln_b: Pictures) -> ElboTerms:
    """Sum both terms of equation 1 from what a Dvae returned for these pixels."""
    return ElboTerms(
        reconstruction=logit_laplace_nll(map_pixels(pixels), mu, ln_b).sum(),
        kl=kl_to_uniform(logits).sum(),
        values=pixels.numel(),
        positions=logits.numel() // logits.shape[1],
    )
