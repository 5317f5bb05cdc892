"""The discrete VAE: a picture becomes a small grid of codes, and codes become a picture.

Paper: section 2.1, appendices A.1 to A.3. The graph, its names and its initial weights are those
of the released code (openai/DALL-E), so its weights convert name by name. One difference: the
decoder's first convolution, which serves as the codebook, starts at N(0, 1). Its input is (nearly)
one-hot, so one term of its sum is not zero, and this keeps the variance at one.

Public functions take and return pixels in [0, 1]; `map_pixels` is applied inside.

Dimensions: b batch, H W pixels, h w codes (an eighth of H W), K size of the codebook.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from schemas.settings import DvaeShape

EPSILON = 0.1  # appendix A.3: keeps the logit of a pixel finite
INT32_MAX = 2**31 - 1
GROUPS = 4  # of blocks; the resolution halves (encoder) or doubles (decoder) between two groups

Pictures = Float[Tensor, "b 3 H W"]
CodeLogits = Float[Tensor, "b K h w"]
CodeGrid = Int[Tensor, "b h w"]
# The source of random numbers: torch's default, one generator, or one for each picture of a batch.
Noise = torch.Generator | Sequence[torch.Generator] | None


def map_pixels(pixels: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Map [0, 1] to [0.1, 0.9], where a logit-Laplace is well behaved (equation 3)."""
    return (1 - 2 * EPSILON) * pixels + EPSILON


def unmap_pixels(mapped: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Undo `map_pixels`, clamped to [0, 1]."""
    return ((mapped - EPSILON) / (1 - 2 * EPSILON)).clamp(0, 1)


class Conv2d(nn.Conv2d):
    """Zero-padded to keep its size; weights N(0, 1 / fan-in), biases 0."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=(kernel - 1) // 2)

    def reset_parameters(self) -> None:
        """Initialise as the release does."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.weight[0].numel()))
        assert self.bias is not None
        nn.init.zeros_(self.bias)


class FullPrecisionConv2d(Conv2d):
    """1x1, in 32 bits even under autocast: the two convolutions around the relaxation.

    Computed as a matrix product, which in channels_last is faster than a convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, input: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        with torch.autocast(input.device.type, enabled=False):
            pixels = rearrange(input.float(), "b i h w -> b h w i")
            output = F.linear(pixels, rearrange(self.weight, "o i 1 1 -> o i"), self.bias)
            return rearrange(output, "b h w o -> b o h w")


class Codebook(FullPrecisionConv2d):
    """The decoder's 1x1 input: one embedding per code, or a mixture of them."""

    def reset_parameters(self) -> None:
        """Draw every embedding from N(0, 1); the head of this file says why."""
        super().reset_parameters()
        nn.init.normal_(self.weight)

    def lookup(self, codes: CodeGrid) -> Float[Tensor, "b d h w"]:
        """Return `forward` of the one-hot of `codes`, without making the one-hot."""
        assert self.bias is not None
        table = rearrange(self.weight, "d k 1 1 -> k d")
        return rearrange(F.embedding(codes, table) + self.bias, "b h w d -> b d h w")


class Block(nn.Module):
    """Pre-activation bottleneck: x + gain * four convolutions with the given kernels."""

    def __init__(self, inputs: int, outputs: int, kernels: tuple[int, ...], gain: float) -> None:
        super().__init__()
        self.gain = gain
        self.id_path = nn.Identity() if inputs == outputs else Conv2d(inputs, outputs, 1)
        hidden = outputs // 4
        widths = [inputs, *[hidden] * (len(kernels) - 1), outputs]
        path: OrderedDict[str, nn.Module] = OrderedDict()
        for i, kernel in enumerate(kernels):
            path[f"relu_{i + 1}"] = nn.ReLU(inplace=i > 0)  # the block's input is added again
            path[f"conv_{i + 1}"] = Conv2d(widths[i], widths[i + 1], kernel)
        self.res_path = nn.Sequential(path)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return torch.add(self.id_path(x), self.res_path(x), alpha=self.gain)


class Upsample(nn.Module):
    """Nearest-neighbour upsampling by 2, chunked because its CUDA backward indexes with int32."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 2*h 2*w"]:
        rows = max(1, INT32_MAX // (4 * x.shape[1:].numel()))
        parts = [F.interpolate(part, scale_factor=2, mode="nearest") for part in x.split(rows)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def block_groups(
    widths: list[int], *, blocks: int, kernels: tuple[int, ...], resize: tuple[str, nn.Module]
) -> OrderedDict[str, nn.Module]:
    """Return the groups of blocks, from `widths[0]` to `widths[-1]` channels.

    Each group but the last ends with `resize`, a module and its name.
    """
    gain = 1 / (GROUPS * blocks) ** 2  # appendix A.1 and section 2.1: a stable start
    chain: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, GROUPS + 1):
        group: OrderedDict[str, nn.Module] = OrderedDict()
        for i in range(blocks):
            inputs = widths[number - 1] if i == 0 else widths[number]
            group[f"block_{i + 1}"] = Block(inputs, widths[number], kernels, gain)
        if number < GROUPS:
            group[resize[0]] = resize[1]
        chain[f"group_{number}"] = nn.Sequential(group)
    return chain


def output_head(conv: Conv2d) -> nn.Sequential:
    """Return the end of either network: a ReLU and its last convolution."""
    return nn.Sequential(OrderedDict(relu=nn.ReLU(), conv=conv))


class Encoder(nn.Module):
    """From mapped pixels to the logits of every code at every position of the grid."""

    def __init__(self, shape: DvaeShape, image_vocab: int) -> None:
        super().__init__()
        width = shape.width
        parts: OrderedDict[str, nn.Module] = OrderedDict(input=Conv2d(3, width, 7))
        parts |= block_groups(
            [width, width, 2 * width, 4 * width, 8 * width],
            blocks=shape.blocks,
            kernels=(3, 3, 3, 1),
            resize=("pool", nn.MaxPool2d(2)),
        )
        parts["output"] = output_head(FullPrecisionConv2d(8 * width, image_vocab))
        self.blocks = nn.Sequential(parts)

    def forward(self, mapped: Pictures) -> CodeLogits:
        return self.blocks(mapped)


class Decoder(nn.Module):
    """From (soft) one-hot codes to two numbers per pixel value: mu, then ln b, of its Laplace."""

    def __init__(self, shape: DvaeShape, image_vocab: int) -> None:
        super().__init__()
        width = shape.width
        self.codebook = Codebook(image_vocab, shape.codebook_width)
        parts = block_groups(
            [shape.codebook_width, 8 * width, 4 * width, 2 * width, width],
            blocks=shape.blocks,
            kernels=(1, 3, 3, 3),
            resize=("upsample", Upsample()),
        )
        parts["output"] = output_head(Conv2d(width, 6, 1))
        self.blocks = nn.Sequential(parts)

    def forward(self, z: CodeLogits) -> Float[Tensor, "b 6 H W"]:
        return self.blocks(self.codebook(z)).float()

    def from_codes(self, codes: CodeGrid) -> Float[Tensor, "b 6 H W"]:
        """Return `forward` of the one-hot of `codes`."""
        return self.blocks(self.codebook.lookup(codes)).float()


class Dvae(nn.Module):
    """Encoder and decoder; `forward` is the training pass through the relaxation."""

    def __init__(self, shape: DvaeShape, image_vocab: int) -> None:
        super().__init__()
        self.encoder = Encoder(shape, image_vocab)
        self.decoder = Decoder(shape, image_vocab)

    def forward(
        self, pixels: Pictures, temperature: float, generator: Noise = None
    ) -> tuple[CodeLogits, Pictures, Pictures]:
        """Return the encoder's logits, and mu and ln b of every pixel value."""
        logits = self.logits(pixels)
        z = relaxed_sample(logits, temperature, generator)
        mu, ln_b = self.decoder(z).chunk(2, dim=1)
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
