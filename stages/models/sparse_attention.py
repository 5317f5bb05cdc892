"""Attention that skips what the masks forbid: the same result as `masked_attention`, faster.

Both ways derive what to skip from the mask itself, except for `causal`, which is torch's kernel:

* On a CPU, in blocks of one row of the grid (at the paper's grid 32 codes, as in the paper): the
  queries of a row see all the text, and a window of as many earlier rows as the mask looks back.
* On a GPU, by FlexAttention, which skips blocks of 128 x 128.

The grid is transposed first for the column mask, so that the keys of a column lie side by side
(appendix B.1, figure 11c).

Dimensions: b batch, h heads, n slots of the input, d head width, t text slots, i image codes of the
input, g grid, w keys of a window, c heads of one or several rows of the batch.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from stages.models.masks import (
    Attend,
    Heads,
    MaskName,
    SequenceLayout,
    make_mask,
    mask_rule,
    masked_attention,
)

SCORES = 2**20  # computed at once on a CPU: they stay in its cache
SHORT = 640  # slots; shorter sequences are faster with a whole mask

FewHeads = Float[Tensor, "c n d"]


@cache
def attention(name: MaskName, layout: SequenceLayout, device: torch.device) -> Attend:
    """Return the fastest attention with this mask; the same object each time, for compilers."""
    if layout.slots < SHORT:
        return partial(masked_attention, mask=make_mask(name, layout).to(device))
    if name == "causal":
        return partial(F.scaled_dot_product_attention, is_causal=True)
    if device.type == "cuda":
        flex = partial(_compiled_flex(), block_mask=flex_mask(name, layout, device))
        return _transposing(name, layout, flex)
    return in_blocks(name, layout)


def in_blocks(name: MaskName, layout: SequenceLayout) -> Attend:
    """Return attention with this mask in blocks of one row of the grid, as on a CPU."""
    attend = partial(block_attention, windows=windows_of(name, layout))
    return _transposing(name, layout, torch.compiler.disable(attend))


class Windows(NamedTuple):
    """A mask cut into the window of each row of the grid: that row and some before it."""

    layout: SequenceLayout
    hidden: Bool[Tensor, "g g w"]  # [row, query in the row, key in the row's window]
    text: Bool[Tensor, "t t"]  # [query, key], true where hidden


@cache
def windows_of(name: MaskName, layout: SequenceLayout) -> Windows:
    """Cut a mask into windows, all as wide as the widest that a row needs."""
    grid, text = layout.grid, layout.text_slots
    mask = F.pad(make_mask(name, layout), (0, 1, 0, 1))  # the last code, which is no input
    mask[-1, -1] = True  # as every code sees itself
    positions = torch.arange(grid**2).view(grid, grid)
    order = (positions.T if name == "column" else positions).flatten()
    order = torch.cat([torch.arange(text), text + order])
    mask = mask[order][:, order]
    rows = rearrange(mask[text:, text:], "(a q) (b k) -> a b q k", q=grid, k=grid)
    back = max(a - b for a, b in rows.any(-1).any(-1).nonzero().tolist())
    seen = F.pad(rows, (0, 0, 0, 0, back, 0))  # no query sees the rows before the first
    windows = [rearrange(seen[a, a : a + back + 1], "b q k -> q (b k)") for a in range(grid)]
    return Windows(layout, ~torch.stack(windows), ~mask[:text, :text])


def block_attention(q: Heads, k: Heads, v: Heads, *, windows: Windows) -> Heads:
    """Attend row by row of the grid, some heads at once, in the precision of the arguments.

    In 16 bits scores are rounded before the softmax, which itself is computed in 32.
    """
    with torch.autocast("cpu", enabled=False):
        text, codes = windows.layout.text_slots, windows.layout.grid**2
        at_once = max(1, SCORES // (codes * (text + windows.hidden.shape[-1])))
        heads = [rearrange(x, "b h n d -> (b h) n d") for x in (q / math.sqrt(q.shape[-1]), k, v)]
        parts = zip(*(x.split(at_once) for x in heads), strict=True)
        return torch.cat([_attend_heads(q, k, v, windows) for q, k, v in parts]).view(q.shape)


def _attend_heads(q: FewHeads, k: FewHeads, v: FewHeads, windows: Windows) -> FewHeads:
    """Attend with scaled queries; one softmax over the text and the window of each code."""
    layout, hidden = windows.layout, windows.hidden
    rows_back = hidden.shape[-1] // layout.grid - 1
    sizes = [layout.text_slots, layout.slots - layout.text_slots]
    (text_q, image_q), (text_k, image_k), (text_v, image_v) = (x.split(sizes, 1) for x in (q, k, v))

    to_text = (text_q @ text_k.mT).masked_fill(windows.text, -math.inf)
    of_text = to_text.softmax(-1) @ text_v

    rows_q, rows_k, rows_v = (_rows(x, layout.grid) for x in (image_q, image_k, image_v))
    to_text = rearrange(rows_q, "c g q d -> c (g q) d") @ text_k.mT
    to_image = (rows_q @ _window(rows_k, rows_back).mT).masked_fill(hidden, -math.inf)
    scores = torch.cat([to_text, rearrange(to_image, "c g q w -> c (g q) w")], dim=-1)
    on_text, on_image = scores.softmax(-1).split([sizes[0], hidden.shape[-1]], dim=-1)
    on_image = rearrange(on_image, "c (g q) w -> c g q w", g=layout.grid)
    from_image = rearrange(on_image @ _window(rows_v, rows_back), "c g q d -> c (g q) d")
    of_image = (on_text @ text_v + from_image).narrow(1, 0, sizes[1])
    return torch.cat([of_text, of_image], dim=1)


def _rows(image: Float[Tensor, "c i d"], grid: int) -> Float[Tensor, "c g g d"]:
    """Cut codes into the rows of the grid; zeros stand for the last code, which is no input."""
    return rearrange(F.pad(image, (0, 0, 0, 1)), "c (g k) d -> c g k d", g=grid)


def _window(rows: Float[Tensor, "c g k d"], back: int) -> Float[Tensor, "c g w d"]:
    """Put before each row the `back` rows before it; zeros stand for rows before the first."""
    padded = F.pad(rows, (0, 0, 0, 0, back, 0))
    grid = rows.shape[1]
    return torch.cat([padded.narrow(1, start, grid) for start in range(back + 1)], dim=2)


@cache
def _compiled_flex() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)


def flex_mask(name: MaskName, layout: SequenceLayout, device: torch.device) -> Any:
    """Return the mask as FlexAttention's BlockMask, for a transposed grid if it is the column's."""
    from torch.nn.attention.flex_attention import create_block_mask

    sees, slot = mask_rule(name, layout), _slots(name, layout)
    seen = lambda batch, head, q, k: sees(slot(q), slot(k))  # noqa: E731, its signature is read
    return create_block_mask(seen, None, None, layout.slots, layout.slots, device=str(device))


def _slots(name: MaskName, layout: SequenceLayout) -> Callable[[Tensor], Tensor]:
    """Return the map from an index in the order of computation to its slot of the input."""
    text, grid = layout.text_slots, layout.grid
    if name != "column":
        return lambda index: index
    transposed: Callable[[Tensor], Tensor] = lambda code: code % grid * grid + code // grid  # noqa: E731
    return lambda index: torch.where(index < text, index, text + transposed(index - text))


def _transposing(name: MaskName, layout: SequenceLayout, attend: Attend) -> Attend:
    """Return `attend` itself, or for the column mask around a transposition of the grid."""
    if name != "column":
        return attend
    return partial(_transposed_attention, layout=layout, attend=attend)


def _transposed_attention(
    q: Heads, k: Heads, v: Heads, *, layout: SequenceLayout, attend: Attend
) -> Heads:
    q, k, v = (_transposed(x, layout) for x in (q, k, v))
    return _transposed(attend(q, k, v), layout)


def _transposed(x: Heads, layout: SequenceLayout) -> Heads:
    """Swap rows and columns of the grid; twice is the identity."""
    text, image = x.split([layout.text_slots, layout.slots - layout.text_slots], dim=2)
    image = F.pad(image, (0, 0, 0, 1))  # the last code stays the last
    image = rearrange(image, "b h (r c) d -> b h (c r) d", r=layout.grid)
    return torch.cat([text, image.narrow(2, 0, layout.grid**2 - 1)], dim=2)
