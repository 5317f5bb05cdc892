"""What one row costs in a forward pass: multiplications and additions, each counted as one.

A backward pass is twice that, so an update is three times; what is computed again to save memory
is not counted, nor is attention that a mask forbids: both are the machine's affair.
"""

import re
from collections import Counter

import torch
from torch import nn

from schemas.settings import PriorShape, TokenSpec
from stages.models.attention import Layout, make_mask, mask_of_layer
from stages.models.dvae import GROUPS, Dvae
from stages.models.prior import Prior


def prior_flops(tokens: TokenSpec, shape: PriorShape) -> int:
    """Count matrix products, and attention of the pairs of slots that the masks allow."""
    with torch.device("meta"):
        prior = Prior(tokens, shape)
    slots = tokens.text_len + tokens.image_len
    blocks = sum(linear.weight.numel() for linear in _linear(prior.blocks)) * slots
    heads = (
        prior.text_head.weight.numel() * tokens.text_len
        + prior.image_head.weight.numel() * tokens.image_len
    )
    return 2 * (blocks + heads) + 4 * shape.width * allowed_pairs(tokens, shape)


def allowed_pairs(tokens: TokenSpec, shape: PriorShape) -> int:
    """Count the (query, key) pairs that each layer's mask allows, over all layers."""
    layout = Layout(1 + tokens.text_len, tokens.grid, shape.conv_kernel)
    layers = range(1, shape.layers + 1)
    times = Counter(mask_of_layer(n, shape.layers, shape.attention) for n in layers)
    return sum(int(make_mask(name, layout).sum()) * count for name, count in times.items())


def dvae_flops(dvae: Dvae, side: int) -> int:
    """Count all convolutions for one picture."""
    convolutions = {n: m for n, m in dvae.named_modules() if isinstance(m, nn.Conv2d)}
    return sum(
        2 * convolution.weight.numel() * (side // _reduction(name)) ** 2
        for name, convolution in convolutions.items()
    )


def _linear(module: nn.Module) -> list[nn.Linear]:
    return [part for part in module.modules() if isinstance(part, nn.Linear)]


def _reduction(name: str) -> int:
    """Return how many pixels of the picture one pixel stands for, along a side, at a layer."""
    group = re.search(r"group_(\d)", name)
    if group is not None:
        halvings = int(group[1]) - 1
        return 2 ** (halvings if name.startswith("encoder") else GROUPS - 1 - halvings)
    full_size = ("encoder.blocks.input", "decoder.blocks.output")
    return 1 if name.startswith(full_size) else 2 ** (GROUPS - 1)
