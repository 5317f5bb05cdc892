"""What a layer keeps of the codes drawn so far: no more than its mask can still see.

How much that is, is read off the mask itself. Where all distances that a mask looks back are
multiples of some number, codes fall into so many *groups* that never see each other (the columns of
the grid); of its group a code needs as many places as the longest look back. So a row mask keeps
the last grid + 1 codes, a convolution as far back as its window, a column mask its column, and the
causal mask everything; a place is taken anew as soon as its code has gone out of sight.

Keys and values of the prompt stand once for all rows of a lane, those of codes row by row. Nothing
changes its shape or its place in memory from step to step, so a GPU can replay the same kernels.

Dimensions: l lanes, c rows of a lane, h heads, k head width, t text slots, i image codes of the
input, g groups, s places of a group, r rows of a tile with their heads (l h c).
"""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Reach(NamedTuple):
    """Where each code's keys and values are kept, and which of those kept it sees."""

    groups: int
    places: int  # of a group
    group: Int[Tensor, " i"]
    place: Int[Tensor, " i"]
    hidden: Bool[Tensor, "i s"]  # of its group: not drawn yet, or gone out of sight

    def to(self, device: torch.device) -> "Reach":
        """Return the same tables on another device."""
        tables = (self.group, self.place, self.hidden)
        return Reach(self.groups, self.places, *(table.to(device) for table in tables))

    def at(self, code: Int[Tensor, " one"]) -> "At":
        """Return what holds at one raster position.

        Where numbers are at hand, they say which part of the memory is wanted; on a GPU, which
        alone knows them, always the same work must do for all of them.
        """
        if code.device.type != "cpu":
            return self.anywhere(code)
        hidden = self.hidden[code]
        seen = int((~hidden).nonzero()[-1, 1]) + 1
        hidden = hidden[:, :seen]
        group, place = int(self.group[code]), int(self.place[code])
        return At(group, place, seen, hidden if hidden.any() else None)

    def anywhere(self, code: Int[Tensor, " one"]) -> "At":
        """Return the same without looking at a number."""
        return At(self.group[code], self.place[code], self.places, self.hidden[code])

    def kept(self, codes: int) -> Int[Tensor, "g s"]:
        """Return which of the first `codes` codes each place holds afterwards; 0 if none."""
        group = torch.arange(self.groups)
        turn = (codes - 1 - group) // self.groups
        held = _newest(turn, self.places) * self.groups + group[:, None]
        return held.clamp(min=0)


class At(NamedTuple):
    """One code's row of `Reach`."""

    group: int | Int[Tensor, " one"]
    place: int | Int[Tensor, " one"]
    seen: int  # places of the group, from the first on, that are looked at
    hidden: Bool[Tensor, "one seen"] | None  # of these; None if none is


def reach_of(mask: Bool[Tensor, "i i"]) -> Reach:
    """Read off a mask between image codes what must be kept for it."""
    code = torch.arange(len(mask))
    back = (code[:, None] - code)[mask].unique().tolist() or [0]  # one code of a picture sees none
    groups = max(1, math.gcd(*back))
    places = max(back) // groups + 1
    group, turn = code % groups, code // groups
    newest = _newest(turn, places)
    held = newest * groups + group[:, None]
    seen = (newest >= 0) & mask.gather(1, held.clamp(min=0))
    return Reach(groups, places, group, turn % places, ~seen)


def _newest(turn: Int[Tensor, " n"], places: int) -> Int[Tensor, "n s"]:
    """Return whose place it is when a group has come to a turn: the newest turn's, for each."""
    return turn[:, None] - (turn[:, None] - torch.arange(places)) % places


class LayerCache(NamedTuple):
    """Keys and values of one layer for all rows of a tile."""

    text_keys: Float[Tensor, "l h t k"]
    text_values: Float[Tensor, "l h t k"]
    keys: Float[Tensor, "g r s k"]
    values: Float[Tensor, "g r s k"]

    @classmethod
    def empty(
        cls, reach: Reach, text_slots: int, rows: int, like: Float[Tensor, "l h k"]
    ) -> "LayerCache":
        """Take memory for lanes of `rows` rows; zeros, for what is hidden must be a number."""
        lanes, heads, width = like.shape
        text = (lanes, heads, text_slots, width)
        image = (reach.groups, lanes * heads * rows, reach.places, width)
        return cls(*(like.new_zeros(shape) for shape in (text, text, image, image)))

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(part.nbytes for part in self)

    def attend(
        self,
        q: Float[Tensor, "l h c k"],
        k: Float[Tensor, "l h c k"],
        v: Float[Tensor, "l h c k"],
        at: At,
    ) -> Float[Tensor, "l h c k"]:
        """Keep a code's keys and values, then attend to the prompt and to the codes it sees."""
        self.keep(k, v, at)
        if q.device.type == "cuda":
            from stages.models import decode  # here, for it needs Triton

            if decode.takes(q.shape[-1]):
                return decode.attend(q, self, at)
        return self.look(q, at)

    def keep(self, k: Float[Tensor, "l h c k"], v: Float[Tensor, "l h c k"], at: At) -> None:
        """Put keys and values in a code's place."""
        if isinstance(at.place, int):
            rows: slice | Tensor = slice(None)
        else:
            rows = torch.arange(self.keys.shape[1], device=k.device)
        self.keys[at.group, rows, at.place] = rearrange(k, "l h c k -> (l h c) k")
        self.values[at.group, rows, at.place] = rearrange(v, "l h c k -> (l h c) k")

    def look(self, q: Float[Tensor, "l h c k"], at: At) -> Float[Tensor, "l h c k"]:
        """Attend to the prompt and to the codes seen, with one softmax."""
        group = at.group if len(self.keys) > 1 else 0  # the only one is a view, not a copy
        keys, values = (x[group].reshape(x.shape[1:])[:, : at.seen] for x in self[2:])
        q = q / math.sqrt(q.shape[-1])
        to_text = rearrange(q @ self.text_keys.mT, "l h c t -> (l h c) 1 t")
        to_image = rearrange(q, "l h c k -> (l h c) 1 k") @ keys.mT
        if at.hidden is not None:
            to_image = to_image.masked_fill(at.hidden, -math.inf)
        weights = torch.cat([to_text, to_image], dim=-1).softmax(dim=-1)
        on_text, on_image = weights.split([to_text.shape[-1], to_image.shape[-1]], dim=-1)
        from_text = on_text.reshape(*q.shape[:-1], -1) @ self.text_values
        return from_text + (on_image @ values).reshape(q.shape)
