"""Convert a discrete VAE between our names and those of the released code (openai/DALL-E).

The release has two modules, each with `blocks` from its input to its output, whose convolutions
hold `w` and `b`. Ours are `encoder` and `decoder` of one module, with torch's `weight` and `bias`,
and the decoder's input is the `codebook`. All sizes are read off the tensors.
"""

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from schemas.errors import SchemaMismatch
from schemas.settings import DvaeShape
from schemas.settings.tokens import PATCHES
from stages.models.dvae import Dvae
from stages.models.on_meta import on_meta
from stages.models.patch_dvae import CELL

TO_RELEASED = {"decoder.codebook": "decoder.blocks.input", "weight": "w", "bias": "b"}
TO_OURS = {theirs: ours for ours, theirs in TO_RELEASED.items()}


def _renamed(name: str, words: Mapping[str, str]) -> str:
    for old, new in words.items():
        name = re.sub(rf"\b{re.escape(old)}\b", new, name)
    return name


def to_published(dvae: Dvae) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of the encoder and of the decoder under the released names."""
    named = {_renamed(name, TO_RELEASED): value for name, value in dvae.state_dict().items()}
    encoder, decoder = (
        {n.removeprefix(part): value for n, value in named.items() if n.startswith(part)}
        for part in ("encoder.", "decoder.")
    )
    return encoder, decoder


def from_published(tensors: Mapping[str, Tensor], where: str) -> tuple[Dvae, DvaeShape, int]:
    """Return the model, its sizes and its number of codes, from `encoder.` and `decoder.` tensors.

    Both our names and the released ones are understood. Raises SchemaMismatch for another network.
    """
    named = {_renamed(name, TO_OURS): value for name, value in tensors.items()}
    shape, image_vocab = _sizes(named, where)
    with on_meta():
        dvae = Dvae(shape, image_vocab)
    wanted = {name: tuple(value.shape) for name, value in dvae.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in named.items()}
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise SchemaMismatch(
                f"{where}: wanted {name} of size {wanted.get(name, 'none')}, found "
                f"{found.get(name, 'none')}; give the encoder and decoder of one discrete VAE"
            )
    real = {n: v.to(torch.float32, copy=True) for n, v in named.items() if v.is_floating_point()}
    for name, value in named.items():
        if name not in real or not real[name].isfinite().all():
            raise SchemaMismatch(
                f"{where}: wanted weights that are finite real numbers, found others in {name} "
                f"({value.dtype}); save the model in float32"
            )
    dvae.load_state_dict(real, assign=True)
    return dvae.eval(), shape, image_vocab


def _sizes(named: Mapping[str, Tensor], where: str) -> tuple[DvaeShape, int]:
    """Read the hyperparameters off the first and last convolutions and the blocks' names."""
    if "decoder.centres.weight" in named:
        return _sizes_of_patches(named, where)
    first, last = "encoder.blocks.input.weight", "decoder.blocks.output.conv.weight"
    codes = "decoder.codebook.weight"
    for name in (first, codes, last):
        if name not in named or named[name].ndim != 4 or not named[name].numel():
            raise SchemaMismatch(
                f"{where}: wanted the encoder and the decoder of the released discrete VAE, found "
                f"no convolution {name}; give both of its parts"
            )
    groups = {match[1] for name in named if (match := re.search(r"\.group_(\d+)\.", name))}
    patch = 2 ** (len(groups) - 1)
    if patch not in PATCHES:
        raise SchemaMismatch(
            f"{where}: wanted 4 groups of blocks (3 or 5 in a dVAE of ours), found {len(groups)}; "
            "only networks that make one code of 8 x 8 pixels (4 x 4, 16 x 16) can be taken over"
        )
    width = named[first].shape[0]
    if width < 4:
        raise SchemaMismatch(f"{where}: wanted a width of at least 4 channels, found {width}")
    channels = named[first].shape[1], named[last].shape[0]
    if channels != (3, 6):
        raise SchemaMismatch(
            f"{where}: wanted 3 channels in and 6 out, for pictures in colour, found "
            f"{channels[0]} and {channels[1]}; give an encoder and a decoder, each under its name"
        )
    shape = DvaeShape(
        width=width, blocks=_blocks(named, where), codebook_width=named[codes].shape[0], patch=patch
    )
    return shape, named[codes].shape[1]


def _sizes_of_patches(named: Mapping[str, Tensor], where: str) -> tuple[DvaeShape, int]:
    """Read the same off a network of ours that started as k-means on patches."""
    parts = ("centres", "codebook", "drawn", "added")
    names = [f"decoder.{part}.weight" for part in parts]
    if not all(name in named and named[name].ndim == 4 for name in names):
        raise SchemaMismatch(f"{where}: wanted {', '.join(names)}, found not all; train it again")
    centres, codebook, drawn, _ = (named[name].shape for name in names)
    patch, width = math.isqrt(centres[0] // 3), drawn[0] // CELL
    if patch not in PATCHES or width < 4:
        raise SchemaMismatch(
            f"{where}: wanted codes of 4, 8 or 16 pixels and a width of at least 4 channels, found "
            f"{patch} and {width}; train it again"
        )
    shape = DvaeShape(
        width=width,
        blocks=_blocks(named, where),
        codebook_width=codebook[0],
        init="patches",
        patch=patch,
    )
    return shape, centres[1]


def _blocks(named: Mapping[str, Tensor], where: str) -> int:
    """Count the blocks of a group."""
    blocks = {match[1] for name in named if (match := re.search(r"\.(block_\d+)\.", name))}
    if not blocks:
        raise SchemaMismatch(f"{where}: wanted blocks in each group, found none; fetch it again")
    return len(blocks)
