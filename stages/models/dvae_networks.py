"""The networks of the discrete VAE: the encoder, the decoder, and what they are made of.

Paper: section 2.1 and appendix A.1. The graph, its names and its initial weights are those of the
released code (openai/DALL-E), so its weights convert name by name. One difference: the decoder's
first convolution, which serves as the codebook, starts at N(0, 1). Its input is (nearly) one-hot,
so one term of its sum is not zero, and this keeps the variance at one.

A code stands for `shape.patch` pixels along each side: one group of blocks at full resolution, and
one more for each halving, with twice the channels. The paper's 8 pixels make four groups.

Dimensions: b batch, H W pixels, h w codes, K size of the codebook.
"""

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from schemas.settings import DvaeShape

INT32_MAX = 2**31 - 1

EPSILON = 0.1  # appendix A.3: keeps the logit of a pixel finite

Pictures = Float[Tensor, "b 3 H W"]
CodeLogits = Float[Tensor, "b K h w"]
CodeGrid = Int[Tensor, "b h w"]


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
    widths: list[int],
    *,
    blocks: int,
    kernels: tuple[int, ...],
    resize: tuple[str, nn.Module],
    gain: float | None = None,
) -> OrderedDict[str, nn.Module]:
    """Return the groups of blocks, from `widths[0]` to `widths[-1]` channels.

    Each group but the last ends with `resize`, a module and its name. The gain is that of section
    2.1 unless it is given.
    """
    groups = len(widths) - 1
    if gain is None:
        gain = 1 / (groups * blocks) ** 2  # appendix A.1 and section 2.1: a stable start
    chain: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, groups + 1):
        group: OrderedDict[str, nn.Module] = OrderedDict()
        for i in range(blocks):
            inputs = widths[number - 1] if i == 0 else widths[number]
            group[f"block_{i + 1}"] = Block(inputs, widths[number], kernels, gain)
        if number < groups:
            group[resize[0]] = resize[1]
        chain[f"group_{number}"] = nn.Sequential(group)
    return chain


def group_widths(shape: DvaeShape) -> list[int]:
    """Return the channels of each group, from full resolution to that of the codes."""
    return [shape.width * 2**n for n in range(int(math.log2(shape.patch)) + 1)]


def output_head(conv: Conv2d) -> nn.Sequential:
    """Return the end of either network: a ReLU and its last convolution."""
    return nn.Sequential(OrderedDict(relu=nn.ReLU(), conv=conv))


class Encoder(nn.Module):
    """From mapped pixels to the logits of every code at every position of the grid."""

    def __init__(self, shape: DvaeShape, image_vocab: int) -> None:
        super().__init__()
        widths = group_widths(shape)
        parts: OrderedDict[str, nn.Module] = OrderedDict(input=Conv2d(3, shape.width, 7))
        parts |= block_groups(
            [shape.width, *widths],
            blocks=shape.blocks,
            kernels=(3, 3, 3, 1),
            resize=("pool", nn.MaxPool2d(2)),
        )
        parts["output"] = output_head(FullPrecisionConv2d(widths[-1], image_vocab))
        self.blocks = nn.Sequential(parts)

    def forward(self, mapped: Pictures) -> CodeLogits:
        return self.blocks(mapped)


class Decoder(nn.Module):
    """From (soft) one-hot codes to two numbers per pixel value: mu, then ln b, of its Laplace."""

    def __init__(self, shape: DvaeShape, image_vocab: int) -> None:
        super().__init__()
        self.codebook = Codebook(image_vocab, shape.codebook_width)
        parts = block_groups(
            [shape.codebook_width, *reversed(group_widths(shape))],
            blocks=shape.blocks,
            kernels=(1, 3, 3, 3),
            resize=("upsample", Upsample()),
        )
        parts["output"] = output_head(Conv2d(shape.width, 6, 1))
        self.blocks = nn.Sequential(parts)

    def forward(self, z: CodeLogits) -> Float[Tensor, "b 6 H W"]:
        return self.blocks(self.codebook(z)).float()

    def from_codes(self, codes: CodeGrid) -> Float[Tensor, "b 6 H W"]:
        """Return `forward` of the one-hot of `codes`."""
        return self.blocks(self.codebook.lookup(codes)).float()
