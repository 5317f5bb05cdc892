"""Rotary positions in two dimensions: queries and keys turn with the place of their slot.

Beyond the paper, which learns an embedding for each row and column. The product of a turned query
and a turned key depends on how far apart their slots are, not on where (Su et al. 2021). Half of a
head's pairs of numbers turn with the row, half with the column. Text lies on the diagonal that ends
in the picture's first corner, so that text alone is a line as in one dimension.

Dimensions: n slots, k head width, p pairs of a head (k / 2).
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from stages.models.attention import Attend, Layout

BASE = 100.0  # the slowest turn is some 600 slots long: more than text and a grid of 32


def angles(layout: Layout, head_dim: int) -> Float[Tensor, "n p"]:
    """Return by how much each pair of numbers of each slot turns, in radians."""
    text = torch.arange(-layout.text_slots, 0)
    image = torch.arange(layout.grid**2 - 1)
    rows = torch.cat([text, image // layout.grid])
    columns = torch.cat([text, image % layout.grid])
    pairs = head_dim // 4
    speed = BASE ** -(torch.arange(pairs) / pairs)
    places = torch.stack([rows, columns], dim=1)
    return rearrange(rearrange(places, "n two -> n two 1") * speed, "n two pair -> n (two pair)")


def turned(x: Float[Tensor, "*b n k"], by: Float[Tensor, "#n p"] | None) -> Float[Tensor, "*b n k"]:
    """Turn each pair (x[i], x[i + k/2]) by its angle; None where slots have no angle."""
    if by is None:
        return x
    cos, sin = by.cos(), by.sin()
    one, other = x.float().chunk(2, dim=-1)
    return torch.cat([one * cos - other * sin, one * sin + other * cos], dim=-1).to(x.dtype)


def turned_attention(
    q: Float[Tensor, "b h n k"],
    k: Float[Tensor, "b h n k"],
    v: Float[Tensor, "b h n k"],
    *,
    by: Float[Tensor, "#n p"],
    attend: Attend,
) -> Float[Tensor, "b h n k"]:
    """Attend with turned queries and keys; values have no place."""
    return attend(turned(q, by), turned(k, by), v)
