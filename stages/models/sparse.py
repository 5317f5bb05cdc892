"""Attention that computes no more than the masks allow: the same as `masked_attention`, faster.

Both ways read what may be left out off the mask itself, so they cannot disagree with it:

* On a CPU, in blocks of one row of the grid (the paper's were 32 x 32 too): the queries of a row
  see all the text, and a window of as many rows back as the mask reaches.
* On a GPU, by FlexAttention, which leaves out blocks of 128 x 128.

Where a mask looks up columns, rows and columns of the grid change places first, and its keys lie
side by side (appendix B.1, figure 11c).

Dimensions as in `attention`; c heads of one or several rows of a batch, g grid, w keys of a window,
t text slots, d head width.
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

from stages.models.attention import Attend, Layout, MaskName, make_mask, masked_attention, rule

SCORES = 2**20  # at a time, on a CPU: they stay in its cache
SHORT = 640  # slots; shorter sequences are computed faster as a whole


@cache
def attention(name: MaskName, layout: Layout, device: torch.device) -> Attend:
    """Return the fastest way to attend by this mask; the same object each time, for compilers."""
    if layout.slots < SHORT:
        return partial(masked_attention, mask=make_mask(name, layout).to(device))
    if name == "causal":
        return causal_attention
    if device.type == "cuda":
        return _in_grid_order(name, layout, _flex(name, layout, device))
    return in_blocks(name, layout)


def in_blocks(name: MaskName, layout: Layout) -> Attend:
    """Return attention by this mask in blocks of one row of the grid, as on a CPU."""
    attend = partial(block_attention, windows=windows_of(name, layout))
    return _in_grid_order(name, layout, torch.compiler.disable(attend))


def causal_attention(
    q: Float[Tensor, "b h n d"], k: Float[Tensor, "b h n d"], v: Float[Tensor, "b h n d"]
) -> Float[Tensor, "b h n d"]:
    """Attend to all that came before."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Windows(NamedTuple):
    """What each row of the grid sees of the rows up to it."""

    layout: Layout
    hidden: Bool[Tensor, "g g w"]  # of row, query and key in the window, which ends with the row
    text: Bool[Tensor, "t t"]  # hidden from text


@cache
def windows_of(name: MaskName, layout: Layout) -> Windows:
    """Cut a mask into windows."""
    grid, text = layout.grid, layout.text_slots
    mask = F.pad(make_mask(name, layout), (0, 1, 0, 1))  # the last code, which is no input
    mask[-1, -1] = True  # as every code sees itself
    order = torch.cat([torch.arange(text), text + _order(name, grid)])
    mask = mask[order][:, order]
    rows = rearrange(mask[text:, text:], "(a q) (b k) -> a b q k", q=grid, k=grid)
    back = max(a - b for a, b in rows.any(-1).any(-1).nonzero().tolist())
    seen = F.pad(rows, (0, 0, 0, 0, back, 0))  # rows before the first are seen by none
    windows = [rearrange(seen[a, a : a + back + 1], "b q k -> q (b k)") for a in range(grid)]
    return Windows(layout, ~torch.stack(windows), ~mask[:text, :text])


def block_attention(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h n d"],
    v: Float[Tensor, "b h n d"],
    *,
    windows: Windows,
) -> Float[Tensor, "b h n d"]:
    """Attend row by row of the grid, a few heads at a time, in the type that is given.

    In 16 bits scores are rounded before the softmax, which itself is computed in 32.
    """
    with torch.autocast("cpu", enabled=False):
        text, codes = windows.layout.text_slots, windows.layout.grid**2
        at_once = max(1, SCORES // (codes * (text + windows.hidden.shape[-1])))
        heads = [rearrange(x, "b h n d -> (b h) n d") for x in (q / math.sqrt(q.shape[-1]), k, v)]
        parts = zip(*(x.split(at_once) for x in heads), strict=True)
        found = [_heads(q, k, v, windows) for q, k, v in parts]
        return torch.cat(found).view(q.shape)


def _heads(
    q: Float[Tensor, "c n d"],
    k: Float[Tensor, "c n d"],
    v: Float[Tensor, "c n d"],
    windows: Windows,
) -> Float[Tensor, "c n d"]:
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
    """Give the last code a place and cut at the ends of rows."""
    return rearrange(F.pad(image, (0, 0, 0, 1)), "c (g k) d -> c g k d", g=grid)


def _window(rows: Float[Tensor, "c g k d"], back: int) -> Float[Tensor, "c g w d"]:
    """Put before each row those that came before it; before the first come rows of zeros."""
    padded = F.pad(rows, (0, 0, 0, 0, back, 0))
    grid = rows.shape[1]
    return torch.cat([padded.narrow(1, start, grid) for start in range(back + 1)], dim=2)


def _flex(name: MaskName, layout: Layout, device: torch.device) -> Attend:
    """Return FlexAttention with this mask."""
    block_mask = flex_mask(name, layout, device)
    return partial(_compiled_flex(), block_mask=block_mask)


@cache
def _compiled_flex() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)


def flex_mask(name: MaskName, layout: Layout, device: torch.device) -> Any:
    """Return the mask as FlexAttention wants it: which blocks are seen, and what of them."""
    from torch.nn.attention.flex_attention import create_block_mask

    sees, slot = rule(name, layout), _slots(name, layout)
    seen = lambda batch, head, q, k: sees(slot(q), slot(k))  # noqa: E731, its signature is read
    return create_block_mask(seen, None, None, layout.slots, layout.slots, device=str(device))


def _slots(name: MaskName, layout: Layout) -> Callable[[Tensor], Tensor]:
    """Return what says which slots are computed at these places."""
    text, grid = layout.text_slots, layout.grid
    if name != "column":
        return lambda place: place
    turned: Callable[[Tensor], Tensor] = lambda code: code % grid * grid + code // grid  # noqa: E731
    return lambda place: torch.where(place < text, place, text + turned(place - text))


def _order(name: MaskName, grid: int) -> Tensor:
    """Return the raster positions in the order in which this mask is computed."""
    positions = torch.arange(grid**2).view(grid, grid)
    return (positions.T if name == "column" else positions).flatten()


def _in_grid_order(name: MaskName, layout: Layout, attend: Attend) -> Attend:
    """Let `attend` see columns as rows where the mask looks up columns."""
    return partial(_by_columns, layout=layout, attend=attend) if name == "column" else attend


def _by_columns(q: Tensor, k: Tensor, v: Tensor, *, layout: Layout, attend: Attend) -> Tensor:
    turned = [_turned(x, layout) for x in (q, k, v)]
    return _turned(attend(*turned), layout)


def _turned(x: Float[Tensor, "b h n d"], layout: Layout) -> Float[Tensor, "b h n d"]:
    """Let rows and columns of the grid change places; done twice, all is as it was."""
    text, image = x.split([layout.text_slots, layout.slots - layout.text_slots], dim=2)
    image = F.pad(image, (0, 0, 0, 1))  # the last code stays the last
    image = rearrange(image, "b h (r c) d -> b h (c r) d", r=layout.grid)
    return torch.cat([text, image.narrow(2, 0, layout.grid**2 - 1)], dim=2)
