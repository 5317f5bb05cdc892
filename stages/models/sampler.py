"""Drawing codes from the prior: many candidates per caption, each the same in any company.

Paper: section 2.6 (temperature 1, all codes allowed). Beyond it, for priors that were trained with
some captions left out: guidance, which follows the caption more closely (Ho and Salimans 2021).

A picture belongs to (seed, prompt, candidate), whatever else is drawn beside it:

* Its random numbers come from its own seed alone (counter-based, drawn on the CPU).
* Its arithmetic is always the same. A prompt is computed alone. Candidates are computed in *lanes*
  of a fixed number of rows and one prompt each, candidate i always in row i % rows of its lane; and
  lanes in *tiles* of a fixed number of lanes, the last one filled up with copies. So every product
  has one shape whatever is drawn, and a library that rounds differently for another batch size has
  no occasion to. What can vary is a lane's place in its tile; a test holds that it does not matter.

All rows of a lane share the keys and values of its prompt. Those of the image are kept in a buffer
made once per tile, of which each step reads only the window that the layer's mask lets it see.

Dimensions: l lanes, c candidates (rows) of a lane, p prompts, n candidates of a prompt, t text
slots, m image codes that a step sees, h heads, k head width, K image codes, I image length.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from schemas.errors import ConfigError
from stages.models.attention import Attend, make_mask
from stages.models.prior import Prior

LANE = 16  # rows; wide enough for a good matrix product, narrow enough for few candidates


def candidate_seed(seed: int, prompt: str, candidate: int) -> int:
    """Derive the seed of one picture: 63 bits that depend on nothing else."""
    digest = hashlib.sha256(f"{seed}\n{candidate}\n{prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def uniforms(seed: int, count: int) -> Float64[Tensor, " I"]:
    """Return a picture's random numbers in [0, 1), one for each of its codes."""
    return torch.from_numpy(np.random.Generator(np.random.Philox(key=seed)).random(count))


def choose(
    logits: Float[Tensor, "l c K"],
    uniform: Float64[Tensor, "l c"],
    *,
    temperature: float,
    top_k: int,
) -> Int[Tensor, "l c"]:
    """Draw one code per row from the softmax, by inverting its cumulative sum.

    With `top_k` > 0 exactly so many codes can come, also where several tie for the last place.
    """
    scaled = logits.double() / temperature
    if 0 < top_k < logits.shape[-1]:
        values, indices = scaled.topk(top_k)
        scaled = torch.full_like(scaled, -math.inf).scatter(-1, indices, values)
    cumulative = scaled.softmax(dim=-1).cumsum(dim=-1)
    cumulative = cumulative / cumulative[..., -1:]  # ends at exactly 1, more than any uniform
    chosen = torch.searchsorted(cumulative, uniform[..., None].contiguous(), right=True)
    return rearrange(chosen, "l c 1 -> l c")


class Prompt:
    """A caption as the image sees it: keys and values of every layer, and the first logits."""

    def __init__(self, prior: Prior, text: Int[Tensor, " T"]) -> None:
        self.layers: list[tuple[Float[Tensor, "h t k"], Float[Tensor, "h t k"]]] = []

        slots = slice(prior.text_slots)

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            q, k = prior.placed(q, slots), prior.placed(k, slots)
            self.layers.append((k[0], v[0]))
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)

        x = prior.embed_text(rearrange(text, "t -> 1 t"))
        for block in prior.blocks:
            x = block(x, attend)
        first = prior.image_head(prior.norm(x[:, -1:]))
        self.first_logits: Float[Tensor, " K"] = rearrange(first, "1 1 K -> K")


class Tile:
    """Lanes of candidates that are decoded side by side, code by code."""

    def __init__(self, prior: Prior, prompts: Sequence[Prompt], rows: int) -> None:
        self.prior = prior
        self.known = 0  # codes taken so far
        self.first_logits: Float[Tensor, "l c K"] = torch.stack(
            [prompt.first_logits.expand(rows, -1) for prompt in prompts]
        )
        self.text = [
            (torch.stack(keys), torch.stack(values))  # "l h t k" each
            for keys, values in (
                zip(*layer, strict=True)
                for layer in zip(*(prompt.layers for prompt in prompts), strict=True)
            )
        ]
        shape, slots = prior.shape, prior.tokens.image_len - 1
        heads = len(prompts) * shape.heads * rows
        # "layer (keys, values) i (l h c) k": what one step sees is then a view
        self.image = self.text[0][0].new_empty((shape.layers, 2, slots, heads, shape.head_dim))
        self.seen = {
            name: _seen(make_mask(name, prior.layout)[prior.text_slots :, prior.text_slots :])
            for name in {prior.mask_name(layer) for layer in range(1, shape.layers + 1)}
        }

    def step(self, codes: Int[Tensor, "l c"]) -> Float[Tensor, "l c K"]:
        """Take the next code of every row; return the logits of the one after it."""
        x = self.prior.embed_image(codes, torch.tensor([self.known], device=codes.device))
        for layer, block in enumerate(self.prior.blocks):
            x = block(x, self._attend(layer))
        self.known += 1
        return self.prior.image_head(self.prior.norm(x))

    def _attend(self, layer: int) -> Attend:
        """Keep this step's keys and values, then attend to the prompt and to the codes seen."""
        text_keys, text_values = self.text[layer]
        image = self.image[layer]
        seen, hidden = self.seen[self.prior.mask_name(layer + 1)][self.known]
        slot = slice(self.prior.text_slots + self.known, self.prior.text_slots + self.known + 1)

        def attend(
            q: Float[Tensor, "l h c k"], k: Float[Tensor, "l h c k"], v: Float[Tensor, "l h c k"]
        ) -> Float[Tensor, "l h c k"]:
            q, k = self.prior.placed(q, slot), self.prior.placed(k, slot)
            image[0, self.known] = rearrange(k, "l h c k -> (l h c) k")
            image[1, self.known] = rearrange(v, "l h c k -> (l h c) k")
            keys, values = rearrange(image[:, seen], "two m b k -> two b m k")
            q = q / math.sqrt(q.shape[-1])
            to_text = rearrange(q @ text_keys.mT, "l h c t -> (l h c) 1 t")
            to_image = rearrange(q, "l h c k -> (l h c) 1 k") @ keys.mT
            if hidden is not None:
                to_image = to_image.masked_fill(hidden, -math.inf)
            weights = torch.cat([to_text, to_image], dim=-1).softmax(dim=-1)
            on_text, on_image = weights.split([to_text.shape[-1], to_image.shape[-1]], dim=-1)
            from_text = on_text.reshape(*q.shape[:-1], -1) @ text_values
            return from_text + (on_image @ values).reshape(q.shape)

        return attend


def _seen(mask: Bool[Tensor, "i i"]) -> list[tuple[slice, Bool[Tensor, " m"] | None]]:
    """Say for each code where those it sees lie, and which of these m it does not see.

    Always a slice, thus a view: copying the window of a convolution costs more than the few codes
    beside it that are hidden afterwards.
    """
    seen: list[tuple[slice, Bool[Tensor, " m"] | None]] = []
    for row in mask:
        codes = row.nonzero().flatten().cpu()
        gaps = codes.diff().unique().tolist() or [1]
        step = gaps[0] if len(gaps) == 1 else 1
        reach = slice(int(codes[0]), int(codes[-1]) + 1, step)
        seen.append((reach, None if len(gaps) == 1 else ~row[reach]))
    return seen


@torch.inference_mode()
def sample(
    prior: Prior,
    text: Int[Tensor, "p T"],
    seeds: Int[Tensor, "p n"],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    guidance: float = 1.0,
    tile: int = 64,
) -> Int[Tensor, "p n I"]:
    """Draw one picture's codes per seed, those of each prompt's candidates 0, 1, ... in order.

    Several prompts at once are quicker than one by one, and give the same.

    A tile has `tile` rows: some whole lanes, or a single narrower one; twice as many with guidance
    other than 1, for then each row is also computed without its caption.
    """
    rows = min(tile, LANE)
    if tile % rows:
        raise ConfigError(
            f"sample.tile: wanted a multiple of {LANE}, or less than that, found {tile}; "
            f"try {tile - tile % LANE}"
        )
    prompts = [Prompt(prior, caption) for caption in text]
    lanes_each = math.ceil(seeds.shape[1] / rows)
    # a lane that is not full repeats its prompt's last seed, a tile that is not full the last lane
    lanes = rearrange(_stretch(seeds, lanes_each * rows, dim=1), "p (l c) -> (p l) c", c=rows)
    owners = torch.arange(len(prompts)).repeat_interleave(lanes_each)
    many = math.ceil(len(lanes) * rows / tile) * tile // rows
    unsaid = None if guidance == 1 else Prompt(prior, torch.full_like(text[0], prior.pad))
    tiles = [
        _decode(
            prior,
            [prompts[i] for i in owner],
            lane,
            unsaid=unsaid,
            temperature=temperature,
            top_k=top_k,
            guidance=guidance,
        )
        for owner, lane in zip(
            _stretch(owners, many, dim=0).split(tile // rows),
            _stretch(lanes, many, dim=0).split(tile // rows),
            strict=True,
        )
    ]
    codes = torch.cat(tiles)[: len(lanes)]
    return rearrange(codes, "(p l) c i -> p (l c) i", p=len(prompts))[:, : seeds.shape[1]]


def _decode(
    prior: Prior,
    prompts: Sequence[Prompt],
    seeds: Int[Tensor, "l c"],
    *,
    unsaid: Prompt | None,
    temperature: float,
    top_k: int,
    guidance: float,
) -> Int[Tensor, "l c I"]:
    """Draw a tile's pictures; with an `unsaid` prompt, guided away from what it alone would give.

    Each lane then has a twin in the tile that takes the same codes under that prompt.
    """
    lanes, rows = seeds.shape
    length = prior.tokens.image_len
    numbers = torch.stack([uniforms(seed, length) for seed in seeds.flatten().tolist()])
    uniform = rearrange(numbers, "(l c) i -> i l c", l=lanes).to(prior.start.device)
    twins = [] if unsaid is None else [unsaid] * lanes
    tile = Tile(prior, [*prompts, *twins], rows)
    codes: list[Int[Tensor, "l c"]] = []
    for position in range(length):
        logits = tile.step(codes[-1].repeat(2 if twins else 1, 1)) if codes else tile.first_logits
        if twins:
            told, untold = logits.chunk(2)
            logits = untold + guidance * (told - untold)
        codes.append(choose(logits, uniform[position], temperature=temperature, top_k=top_k))
    return rearrange(codes, "i l c -> l c i")


def _stretch(values: Tensor, size: int, *, dim: int) -> Tensor:
    """Repeat the last entry of `dim` until there are `size`."""
    index = torch.arange(size).clamp(max=values.shape[dim] - 1)
    return values.index_select(dim, index)
