"""The prior's attention masks: which earlier slots each slot of the input sees.

Paper: section 2.2 and appendix B.1, figure 11. The input has `text_slots` slots of text (the start
token and the caption), then one slot for each image code but the last; slot `text_slots + p` holds
code p and predicts code p + 1. A mask says which input slots (keys) each slot (query) sees:

* text sees itself and earlier text;
* image code p sees all text, itself, and some earlier codes, which the mask's name decides.

Image masks count raster positions only: p = grid * row + column. Text never sees the image.

`mask_of_layer` says which layer has which mask, and `_rule_for_codes` what a mask sees. Whoever
changes either also raises `REVISION` in stages/train_prior/__init__.py, because the fingerprint
does not see code. The table of all slots, the blocks and windows of `sparse_attention`, and the
layout of the KV cache are derived from the rule; nothing else states a distance but the tests of
these three. `row` and `conv` may be any set of distances; `sparse_attention` requires that `causal`
stays all that came before, and that `column` stays within its column. `masked_attention` is the
reference: it computes all scores, and then leaves out the forbidden ones.

Dimensions: b batch, h heads, n slots of the input, k head width.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

MaskName = Literal["row", "column", "conv", "causal"]

Heads = Float[Tensor, "b h n k"]  # queries, keys, values, or what attention returns
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # (q, k, v) -> output, each one Heads


class SequenceLayout(NamedTuple):
    """Where text and image lie in the input, and how wide the convolution is."""

    text_slots: int  # the start token and the text
    grid: int
    conv_kernel: int

    @property
    def slots(self) -> int:
        """All slots of the input; the last code is predicted, never an input."""
        return self.text_slots + self.grid**2 - 1


def mask_of_layer(layer: int, layers: int, attention: Literal["sparse", "dense"]) -> MaskName:
    """Name the mask of layer 1..layers: conv last, a column in layers 2, 6, 10, ..., else rows."""
    if attention == "dense":
        return "causal"
    if layer == layers:  # first: in some depths the last layer would also be a column's turn
        return "conv"
    return "column" if (layer - 2) % 4 == 0 else "row"


def mask_rule(name: MaskName, layout: SequenceLayout) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the mask as a function of slots: (query, key) -> whether the query sees the key."""
    text, sees = layout.text_slots, _rule_for_codes(name, layout)
    return lambda query, key: (key <= query) & ((key < text) | sees(query - key))


def _rule_for_codes(name: MaskName, layout: SequenceLayout) -> Callable[[Tensor], Tensor]:
    """Return the rule: does a code see the one `back` places earlier in raster order (0: itself)?

    A convolution sees the earlier half of a kernel x kernel window centred on the own code. It
    wraps around the row's edge as the row mask does: it is a set of distances in raster order, and
    nothing asks whether a key is still in the query's neighbourhood on the grid.
    """
    grid, half, radius = layout.grid, layout.grid // 2, layout.conv_kernel // 2
    match name:
        case "row":  # over the row's edge, as far as the same column one row up
            return lambda back: back <= grid
        case "column":
            return lambda back: back % grid == 0
        case "conv":  # up to `radius` rows up, and from there up to `radius` codes to either side
            return lambda back: (
                (back - ((back + half) // grid).clamp(max=radius) * grid).abs() <= radius
            )
        case "causal":  # all that came before, as in a dense transformer
            return lambda back: back >= 0


def make_mask(name: MaskName, layout: SequenceLayout) -> Bool[Tensor, "n n"]:
    """Return the mask as a table of queries (rows) and keys (columns); true where seen."""
    slot = torch.arange(layout.slots)
    return mask_rule(name, layout)(rearrange(slot, "query -> query 1"), slot)


def masked_attention(q: Heads, k: Heads, v: Heads, mask: Bool[Tensor, "n n"]) -> Heads:
    """Attend with one softmax over all the keys that the mask allows (section 2.2, footnote 7).

    On a CPU in 32 bits, also under autocast: for short sequences the fused kernel takes up to four
    times as long in 16 bits there.
    """
    if q.device.type == "cpu":
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
