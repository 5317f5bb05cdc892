"""A step's attention as one GPU kernel: the same as `KVCache.attend_in_torch` computes in many.

Each program takes some rows of one lane and one head. It reads the prompt's keys and values, which
these rows share, then each row's own keys and values of codes, with one running softmax in 32 bits
(Milakov and Gimelshein 2018), so scores are never written to memory.

Triton comes with torch where there is a GPU; elsewhere this file is not imported.
"""

import math

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Float, Int
from torch import Tensor

ROWS = 16  # rows a program computes: the fewest that a GPU's matrix units take
TEXT_SLOTS, CODE_SLOTS = 64, 16  # cached slots that a program reads at once


def supports(width: int) -> bool:
    """Say whether the kernel can compute heads of this width."""
    return width >= 16 and width & (width - 1) == 0


@torch.compiler.disable  # type: ignore[untyped-decorator]  # recorded as it is, not looked through
def attend(
    q: Float[Tensor, "l h c k"],
    text_keys: Float[Tensor, "l h t k"],
    text_values: Float[Tensor, "l h t k"],
    keys: Float[Tensor, "g r s k"],
    values: Float[Tensor, "g r s k"],
    group: Int[Tensor, " one"],
    hidden: Bool[Tensor, "one s"],
) -> Float[Tensor, "l h c k"]:
    """Attend to the prompt and to the codes of `group` that are not hidden."""
    lanes, heads, rows, width = q.shape
    out = q.new_empty(lanes, rows, heads, width).transpose(1, 2)
    _kernel[(lanes * heads, triton.cdiv(rows, ROWS))](
        q, text_keys, text_values, keys, values, group, hidden, out,
        1 / math.sqrt(width), heads, rows, lanes * heads * rows,
        *q.stride()[:3], *out.stride()[:3],
        text_slots=text_keys.shape[2], code_slots=keys.shape[2], WIDTH=width, ROWS=ROWS,
        TEXT_SLOTS=TEXT_SLOTS, CODE_SLOTS=CODE_SLOTS, num_warps=8,
    )  # fmt: skip
    return out


# fmt: off
@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    q_at, text_keys_at, text_values_at, keys_at, values_at, group_at, hidden_at, out_at,
    scale, heads, rows, all_rows, q_lane, q_head, q_row, out_lane, out_head, out_row,
    text_slots: tl.constexpr, code_slots: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
    TEXT_SLOTS: tl.constexpr, CODE_SLOTS: tl.constexpr,
):
    # fmt: on
    both = tl.program_id(0)
    lane, head = both // heads, both % heads
    in_lane = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    real, row = in_lane < rows, (both * rows + in_lane).to(tl.int64)
    width = tl.arange(0, WIDTH)
    q_at += lane * q_lane + head * q_head
    q = tl.load(q_at + in_lane[:, None] * q_row + width, mask=real[:, None], other=0.0)
    highest = tl.full([ROWS], -float("inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    output = tl.zeros([ROWS, WIDTH], tl.float32)

    prompt = both.to(tl.int64) * text_slots * WIDTH
    for first in range(0, text_slots, TEXT_SLOTS):
        slot = first + tl.arange(0, TEXT_SLOTS)
        there = slot < text_slots
        own = prompt + slot[:, None] * WIDTH + width
        keys = tl.load(text_keys_at + own, mask=there[:, None], other=0.0)
        values = tl.load(text_values_at + own, mask=there[:, None], other=0.0)
        scores = tl.dot(q, tl.trans(keys), input_precision="ieee") * scale
        scores = tl.where(there[None, :], scores, -float("inf"))
        before, highest = highest, tl.maximum(highest, tl.max(scores, 1))
        shrunk, weights = tl.exp(before - highest), tl.exp(scores - highest[:, None])
        total = total * shrunk + tl.sum(weights, 1)
        output = output * shrunk[:, None] + tl.dot(
            weights.to(values.dtype), values, input_precision="ieee"
        )

    group = tl.load(group_at)
    for first in range(0, code_slots, CODE_SLOTS):
        slot = first + tl.arange(0, CODE_SLOTS)
        seen = tl.load(hidden_at + slot, mask=slot < code_slots, other=1) == 0
        own = (group * all_rows + row)[:, None] * code_slots + slot
        own = own[:, :, None] * WIDTH + width
        mask = real[:, None, None] & seen[None, :, None]
        keys = tl.load(keys_at + own, mask=mask, other=0.0).to(tl.float32)
        values = tl.load(values_at + own, mask=mask, other=0.0).to(tl.float32)
        scores = tl.sum(q[:, None, :].to(tl.float32) * keys, 2) * scale
        scores = tl.where(seen[None, :], scores, -float("inf"))
        before, highest = highest, tl.maximum(highest, tl.max(scores, 1))
        shrunk, weights = tl.exp(before - highest), tl.exp(scores - highest[:, None])
        total = total * shrunk + tl.sum(weights, 1)
        output = output * shrunk[:, None] + tl.sum(weights[:, :, None] * values, 1)

    output = (output / total[:, None]).to(out_at.dtype.element_ty)
    out_at += lane * out_lane + head * out_head
    tl.store(out_at + in_lane[:, None] * out_row + width, output, mask=real[:, None])
