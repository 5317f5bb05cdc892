"""Which earlier slots each slot may look at: the three sparse masks of the prior.

Paper: section 2.2 and appendix B.1, figure 11. The input has `text_slots` slots of text (the start
token and the caption), then one slot for each image code but the last; slot `text_slots + p` holds
code p and predicts code p + 1. A mask says which input slots (keys) each slot (query) sees:

* text sees itself and earlier text;
* image code p sees all text, itself, and some earlier codes, named by the mask's function.

Image masks count raster positions only: p = grid * row + column. Text never sees the image.

The masks here are whole tables, and `masked_attention` is the reference: `sparse` computes the same
and leaves out what they forbid.

Dimensions: n slots of the input, i image codes in the input (grid * grid - 1).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

MaskName = Literal["row", "column", "conv", "causal"]

# (q, k, v), each "b h n k" -> what each query found: by a mask or from a cache, as the caller likes
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


class Layout(NamedTuple):
    """Where text and image lie in the input, and how wide the convolution is."""

    text_slots: int  # the start token and the text
    grid: int
    conv_kernel: int

    @property
    def slots(self) -> int:
        """All slots of the input; the last code is predicted, never an input."""
        return self.text_slots + self.grid**2 - 1


def mask_of_layer(layer: int, layers: int, attention: Literal["sparse", "dense"]) -> MaskName:
    """Name the mask of layer 1..layers: conv last, else a column every fourth, else rows."""
    if attention == "dense":
        return "causal"
    if layer == layers:  # first: in some depths the last layer would also be a column's turn
        return "conv"
    return "column" if (layer - 2) % 4 == 0 else "row"


def row_mask(*, text_slots: int, grid: int) -> Bool[Tensor, "n n"]:
    """See the last `grid` codes, over the row's edge: back to the same column one row up."""
    back = _steps_back(grid)
    return _with_text((back >= 0) & (back <= grid), text_slots)


def column_mask(*, text_slots: int, grid: int) -> Bool[Tensor, "n n"]:
    """See the codes above, in the same column."""
    back = _steps_back(grid)
    return _with_text((back >= 0) & (back % grid == 0), text_slots)


def conv_mask(*, text_slots: int, grid: int, kernel: int) -> Bool[Tensor, "n n"]:
    """See the earlier half of a kernel x kernel window centred on the own code.

    The window wraps around the row's edge as the row mask does: it is a set of distances in raster
    order, and no test asks whether a key is still in the query's neighbourhood on the grid.
    """
    reach = kernel // 2
    up = torch.arange(reach + 1)
    right = torch.arange(-reach, reach + 1)
    window = rearrange(grid * up, "u -> u 1") - right
    back = _steps_back(grid)
    return _with_text((back >= 0) & torch.isin(back, window), text_slots)


def causal_mask(*, text_slots: int, grid: int) -> Bool[Tensor, "n n"]:
    """See all that came before, as a dense transformer does."""
    return _with_text(_steps_back(grid) >= 0, text_slots)


def make_mask(name: MaskName, layout: Layout) -> Bool[Tensor, "n n"]:
    """Make the mask of this name."""
    text_slots, grid, kernel = layout
    match name:
        case "row":
            return row_mask(text_slots=text_slots, grid=grid)
        case "column":
            return column_mask(text_slots=text_slots, grid=grid)
        case "conv":
            return conv_mask(text_slots=text_slots, grid=grid, kernel=kernel)
        case "causal":
            return causal_mask(text_slots=text_slots, grid=grid)


def _steps_back(grid: int) -> Tensor:
    """Count the raster steps from each key back from each query; negative for later codes."""
    position = torch.arange(grid**2 - 1)  # the last code is predicted, never an input
    return rearrange(position, "query -> query 1") - position


def _with_text(image: Bool[Tensor, "i i"], text_slots: int) -> Bool[Tensor, "n n"]:
    """Put a mask between image codes into the whole: causal text, and all text for images."""
    slots = text_slots + image.shape[0]
    mask = torch.zeros(slots, slots, dtype=torch.bool)
    mask[:, :text_slots] = True
    mask[text_slots:, text_slots:] = image
    return mask.tril()


def masked_attention(
    q: Float[Tensor, "b h n k"],
    k: Float[Tensor, "b h n k"],
    v: Float[Tensor, "b h n k"],
    mask: Bool[Tensor, "n n"],
) -> Float[Tensor, "b h n k"]:
    """Attend with one softmax over all the keys that the mask allows (section 2.2, footnote 7).

    On a CPU in 32 bits, also under autocast: for short sequences the fused kernel takes up to four
    times as long in 16 there.
    """
    if q.device.type == "cpu":
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
