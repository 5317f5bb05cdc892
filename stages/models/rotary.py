"""Rotary positions in two dimensions: queries and keys are rotated by the position of their slot.

Beyond the paper, which learns an embedding for each row and column. The product of a rotated query
and a rotated key depends on how far apart their slots are, not on where (Su et al. 2021). Half of a
head's pairs of numbers rotate with the row, half with the column. Text lies on the diagonal that
ends in the picture's first corner, so that text alone is a line as in one dimension.

Dimensions: n slots, k head width, p pairs of a head (k / 2).
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from stages.models.masks import Attend, Heads, SequenceLayout

BASE = 100.0  # the slowest rotation takes some 600 slots: more than text and a grid of 32


def rotary_angles(layout: SequenceLayout, head_dim: int) -> Float[Tensor, "n p"]:
    """Return the angle, in radians, of each pair of numbers at each slot."""
    text = torch.arange(-layout.text_slots, 0)
    image = torch.arange(layout.grid**2 - 1)
    rows = torch.cat([text, image // layout.grid])
    columns = torch.cat([text, image % layout.grid])
    pairs = head_dim // 4
    speed = BASE ** -(torch.arange(pairs) / pairs)
    positions = torch.stack([rows, columns], dim=1)
    return rearrange(rearrange(positions, "n two -> n two 1") * speed, "n two pair -> n (two pair)")


def rotate(
    x: Float[Tensor, "*b n k"], angles: Float[Tensor, "#n p"] | None
) -> Float[Tensor, "*b n k"]:
    """Rotate each pair (x[i], x[i + k/2]); without angles, return `x` as it is."""
    if angles is None:
        return x
    cos, sin = angles.cos(), angles.sin()
    one, other = x.float().chunk(2, dim=-1)
    return torch.cat([one * cos - other * sin, one * sin + other * cos], dim=-1).to(x.dtype)


def rotary_attention(
    q: Heads, k: Heads, v: Heads, *, angles: Float[Tensor, "#n p"], attend: Attend
) -> Heads:
    """Attend with rotated queries and keys; values have no position."""
    return attend(rotate(q, angles), rotate(k, angles), v)
