"""FLOPs of one row's forward pass; a multiplication and an addition count as one each.

A backward pass is twice that, so a training step is three times. Activation checkpointing's second
forward pass is not counted, nor is attention that a mask forbids: neither is part of the model.
"""

import re
from collections import Counter

from torch import nn

from schemas.settings import ClipShape, PriorShape, TokenSpec
from stages.models.dvae import Dvae
from stages.models.dvae_networks import Codebook
from stages.models.masks import SequenceLayout, make_mask, mask_of_layer
from stages.models.on_meta import on_meta
from stages.models.patch_dvae import CELL, PatchDecoder
from stages.models.prior import Prior


def prior_flops(tokens: TokenSpec, shape: PriorShape) -> int:
    """Return the FLOPs of matrix products, and of attention between the slots that masks allow."""
    with on_meta():
        prior = Prior(tokens, shape)
    slots = tokens.text_len + tokens.image_len
    linears = [part for part in prior.blocks.modules() if isinstance(part, nn.Linear)]
    blocks = sum(linear.weight.numel() for linear in linears) * slots
    text_head, image_head = prior.text_head.weight, prior.image_head.weight
    heads = text_head.numel() * tokens.text_len + image_head.numel() * tokens.image_len
    return 2 * (blocks + heads) + 4 * shape.width * allowed_pairs(tokens, shape)


def allowed_pairs(tokens: TokenSpec, shape: PriorShape) -> int:
    """Count the (query, key) pairs that each layer's mask allows, over all layers."""
    layout = SequenceLayout(1 + tokens.text_len, tokens.grid, shape.conv_kernel)
    layers = range(1, shape.layers + 1)
    times = Counter(mask_of_layer(n, shape.layers, shape.attention) for n in layers)
    return sum(int(make_mask(name, layout).sum()) * count for name, count in times.items())


def dvae_flops(dvae: Dvae, side: int) -> int:
    """Return the FLOPs of all convolutions for one picture of `side` pixels."""
    looked_up = isinstance(dvae.decoder, PatchDecoder)  # hard codes: no product with a codebook
    convolutions = {
        name: module
        for name, module in dvae.named_modules()
        if isinstance(module, nn.Conv2d) and not (looked_up and isinstance(module, Codebook))
    }
    return sum(
        2 * convolution.weight.numel() * (side // _reduction(name, dvae.patch)) ** 2
        for name, convolution in convolutions.items()
    )


def clip_flops(shape: ClipShape, side: int) -> int:
    """Return the FLOPs of matrix products and attention in both towers, for one pair."""
    width, squares = shape.width, (side // shape.patch) ** 2
    embedding = 3 * shape.patch**2 * width * squares
    projections = 2 * width * shape.projection
    slots = (1 + squares, shape.text_len)  # a token for the whole picture comes first
    layers = sum(12 * width**2 * count + 2 * width * count**2 for count in slots)
    return 2 * (embedding + projections + shape.layers * layers)


def _reduction(name: str, patch: int) -> int:
    """Return by how much a layer's feature map is smaller than the picture, along a side."""
    group = re.search(r"group_(\d)", name)
    if group is not None:
        resized = 2 ** (int(group[1]) - 1)
        return resized if name.startswith("encoder") else patch // resized
    if name.startswith(("decoder.drawn", "decoder.last", "decoder.added", "decoder.ln_b")):
        return CELL
    full_size = ("encoder.blocks.input", "decoder.blocks.output")
    return 1 if name.startswith(full_size) else patch
