"""The prior's KV cache: of the codes drawn so far, a layer keeps only what its mask can still see.

The layout of a layer's cache is read off its mask. If all distances that the mask looks back are
multiples of some number, codes fall into that many *groups* that never see each other (for a column
mask, the columns of the grid). A group has as many *slots* as the longest look back needs, and a
new code overwrites the oldest one, which has just gone out of sight. So a row mask keeps the last
grid + 1 codes, a convolution all since its window's first, a column mask its column, the causal
mask all.

Keys and values of the prompt are stored once for all rows of a lane, those of codes row by row. No
tensor changes its shape or address from step to step, so a GPU can replay the same kernels.

A step calls `update` with the newest code's keys and values, then `attend` with its query.

Dimensions: l lanes, c rows of a lane, h heads, k head width, t text slots, i image codes of the
input, g groups, s slots of a group, r rows of all lanes times heads (l h c).
"""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

StepHeads = Float[Tensor, "l h c k"]  # queries, keys or values of one code of every row


class CacheSlot(NamedTuple):
    """Where the code at one raster position is stored, and what of its group it sees."""

    group: int | Int[Tensor, " one"]
    slot: int | Int[Tensor, " one"]
    read: int  # the group's first slots that attention reads
    hidden: Bool[Tensor, "one read"] | None  # which of them it must not see; None if it sees all


class CacheLayout(NamedTuple):
    """Which slot stores each code, and which slots of its group each code sees."""

    groups: int
    slots: int  # of a group
    group: Int[Tensor, " i"]
    slot: Int[Tensor, " i"]
    hidden: Bool[Tensor, "i s"]  # not drawn yet, or out of sight

    @classmethod
    def of_mask(cls, mask: Bool[Tensor, "i i"]) -> "CacheLayout":
        """Plan the smallest cache that serves a mask between image codes."""
        code = torch.arange(len(mask))
        # a picture of one code looks back nowhere
        back = (code[:, None] - code)[mask].unique().tolist() or [0]
        groups = max(1, math.gcd(*back))
        slots = max(back) // groups + 1
        group, number = code % groups, code // groups
        newest = _newest(number, slots)
        stored = newest * groups + group[:, None]
        seen = (newest >= 0) & mask.gather(1, stored.clamp(min=0))
        return cls(groups, slots, group, number % slots, ~seen)

    def to(self, device: torch.device) -> "CacheLayout":
        tables = (self.group, self.slot, self.hidden)
        return CacheLayout(self.groups, self.slots, *(table.to(device) for table in tables))

    def at(self, position: Int[Tensor, " one"]) -> CacheSlot:
        """Return the slot of the code at a raster position.

        On a CPU the position is known, so only slots that are in use are read. On a GPU it stays on
        the device, so the whole group is read and masked: the same work at every step.
        """
        if position.device.type != "cpu":
            return self.at_unknown(position)
        hidden = self.hidden[position]
        read = int((~hidden).nonzero()[-1, 1]) + 1
        hidden = hidden[:, :read]
        group, slot = int(self.group[position]), int(self.slot[position])
        return CacheSlot(group, slot, read, hidden if hidden.any() else None)

    def at_unknown(self, position: Int[Tensor, " one"]) -> CacheSlot:
        """Return the slot without reading the position's value, which would wait for a GPU."""
        return CacheSlot(
            self.group[position], self.slot[position], self.slots, self.hidden[position]
        )

    def stored_after(self, codes: int) -> Int[Tensor, "g s"]:
        """Return which code each slot stores after the first `codes` codes; 0 where none."""
        group = torch.arange(self.groups)
        number = (codes - 1 - group) // self.groups
        return (_newest(number, self.slots) * self.groups + group[:, None]).clamp(min=0)


def _newest(number: Int[Tensor, " n"], slots: int) -> Int[Tensor, "n s"]:
    """Return the number of the code in each slot, once code `number` of the group is stored.

    Negative where the slot is still empty.
    """
    return number[:, None] - (number[:, None] - torch.arange(slots)) % slots


class KVCache(NamedTuple):
    """Keys and values of one layer, for all rows of a tile."""

    text_keys: Float[Tensor, "l h t k"]
    text_values: Float[Tensor, "l h t k"]
    keys: Float[Tensor, "g r s k"]
    values: Float[Tensor, "g r s k"]

    @classmethod
    def empty(
        cls, layout: CacheLayout, text_slots: int, rows: int, like: Float[Tensor, "l h k"]
    ) -> "KVCache":
        """Allocate zeros for lanes of `rows` rows (hidden slots enter products, so no NaN)."""
        lanes, heads, width = like.shape
        text = (lanes, heads, text_slots, width)
        image = (layout.groups, lanes * heads * rows, layout.slots, width)
        return cls(*(like.new_zeros(shape) for shape in (text, text, image, image)))

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self)

    def update(self, k: StepHeads, v: StepHeads, at: CacheSlot) -> None:
        """Store a code's keys and values in its slot."""
        if isinstance(at.slot, int):
            rows: slice | Tensor = slice(None)
        else:
            rows = torch.arange(self.keys.shape[1], device=k.device)
        self.keys[at.group, rows, at.slot] = rearrange(k, "l h c k -> (l h c) k")
        self.values[at.group, rows, at.slot] = rearrange(v, "l h c k -> (l h c) k")

    def attend(self, q: StepHeads, at: CacheSlot) -> StepHeads:
        """Attend to the prompt and to the codes seen, this step's own among them.

        On a GPU by one Triton kernel, where the heads' width allows.
        """
        if q.device.type == "cuda":
            from stages.models import kv_cache_triton  # here, for Triton is not everywhere

            if kv_cache_triton.supports(q.shape[-1]):
                return kv_cache_triton.attend(q, *self, at.group, at.hidden)
        return self.attend_in_torch(q, at)

    def attend_in_torch(self, q: StepHeads, at: CacheSlot) -> StepHeads:
        """Attend by plain torch operations, with one softmax over text and codes."""
        group = at.group if len(self.keys) > 1 else 0  # an int gives a view, a tensor a copy
        keys, values = (x[group].reshape(x.shape[1:])[:, : at.read] for x in self[2:])
        q = q / math.sqrt(q.shape[-1])
        to_text = rearrange(q @ self.text_keys.mT, "l h c t -> (l h c) 1 t")
        to_image = rearrange(q, "l h c k -> (l h c) 1 k") @ keys.mT
        if at.hidden is not None:
            to_image = to_image.masked_fill(at.hidden, -math.inf)
        weights = torch.cat([to_text, to_image], dim=-1).softmax(dim=-1)
        on_text, on_image = weights.split([to_text.shape[-1], to_image.shape[-1]], dim=-1)
        from_text = on_text.reshape(*q.shape[:-1], -1) @ self.text_values
        return from_text + (on_image @ values).reshape(q.shape)
