"""A step's attention as one kernel of a GPU: the same as `LayerCache.look` computes in many.

Each program takes some rows of one lane and one head. It goes over the prompt's keys and values,
which these rows share, then over each row's own of the codes, with one running softmax in 32 bits
(Milakov and Gimelshein 2018), so scores are never written.

Triton comes with torch where there is a GPU; elsewhere this file is not imported.
"""

import math
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from stages.models.cache import At, LayerCache

ROWS = 16  # of a program; the fewest that units for matrix products take
SLOTS, PLACES = 64, 16  # of the text and of the codes, looked at together


def takes(width: int) -> bool:
    """Say whether heads can be so wide."""
    return width >= 16 and width & (width - 1) == 0


@torch.compiler.disable  # type: ignore[untyped-decorator]  # recorded as it is, not looked through
def attend(q: Float[Tensor, "l h c k"], cache: "LayerCache", at: "At") -> Float[Tensor, "l h c k"]:
    """Attend to the prompt and to the codes seen, this step's own among them."""
    assert isinstance(at.group, Tensor)
    assert at.hidden is not None
    lanes, heads, rows, width = q.shape
    out = q.new_empty(lanes, rows, heads, width).transpose(1, 2)
    _kernel[(lanes * heads, triton.cdiv(rows, ROWS))](
        q,
        cache.text_keys,
        cache.text_values,
        cache.keys,
        cache.values,
        at.group,
        at.hidden,
        out,
        1 / math.sqrt(width),
        heads,
        rows,
        lanes * heads * rows,
        *q.stride()[:3],
        *out.stride()[:3],
        text=cache.text_keys.shape[2],
        places=cache.keys.shape[2],
        WIDTH=width,
        ROWS=ROWS,
        SLOTS=SLOTS,
        PLACES=PLACES,
        num_warps=8,
    )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    q_at,
    text_keys_at,
    text_values_at,
    keys_at,
    values_at,
    group_at,
    hidden_at,
    out_at,
    scale,
    heads,
    rows,
    all_rows,
    q_lane,
    q_head,
    q_row,
    out_lane,
    out_head,
    out_row,
    text: tl.constexpr,
    places: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    SLOTS: tl.constexpr,
    PLACES: tl.constexpr,
):
    both = tl.program_id(0)
    lane, head = both // heads, both % heads
    in_lane = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    real, row = in_lane < rows, (both * rows + in_lane).to(tl.int64)
    width = tl.arange(0, WIDTH)
    q_at += lane * q_lane + head * q_head
    q = tl.load(q_at + in_lane[:, None] * q_row + width, mask=real[:, None], other=0.0)
    highest = tl.full([ROWS], -float("inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    found = tl.zeros([ROWS, WIDTH], tl.float32)

    prompt = both.to(tl.int64) * text * WIDTH
    for first in range(0, text, SLOTS):
        slot = first + tl.arange(0, SLOTS)
        there = slot < text
        own = prompt + slot[:, None] * WIDTH + width
        keys = tl.load(text_keys_at + own, mask=there[:, None], other=0.0)
        values = tl.load(text_values_at + own, mask=there[:, None], other=0.0)
        scores = tl.dot(q, tl.trans(keys), input_precision="ieee") * scale
        scores = tl.where(there[None, :], scores, -float("inf"))
        before, highest = highest, tl.maximum(highest, tl.max(scores, 1))
        shrunk, weights = tl.exp(before - highest), tl.exp(scores - highest[:, None])
        total = total * shrunk + tl.sum(weights, 1)
        found = found * shrunk[:, None] + tl.dot(
            weights.to(values.dtype), values, input_precision="ieee"
        )

    group = tl.load(group_at)
    for first in range(0, places, PLACES):
        place = first + tl.arange(0, PLACES)
        seen = tl.load(hidden_at + place, mask=place < places, other=1) == 0
        own = (group * all_rows + row)[:, None] * places + place
        own = own[:, :, None] * WIDTH + width
        mask = real[:, None, None] & seen[None, :, None]
        keys = tl.load(keys_at + own, mask=mask, other=0.0).to(tl.float32)
        values = tl.load(values_at + own, mask=mask, other=0.0).to(tl.float32)
        scores = tl.sum(q[:, None, :].to(tl.float32) * keys, 2) * scale
        scores = tl.where(seen[None, :], scores, -float("inf"))
        before, highest = highest, tl.maximum(highest, tl.max(scores, 1))
        shrunk, weights = tl.exp(before - highest), tl.exp(scores - highest[:, None])
        total = total * shrunk + tl.sum(weights, 1)
        found = found * shrunk[:, None] + tl.sum(weights[:, :, None] * values, 1)

    found = (found / total[:, None]).to(out_at.dtype.element_ty)
    out_at += lane * out_lane + head * out_head
    tl.store(out_at + in_lane[:, None] * out_row + width, found, mask=real[:, None])
