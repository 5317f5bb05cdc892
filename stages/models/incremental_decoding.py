"""One step of the prior with its KV cache, for many candidates of some prompts side by side.

A tile has some lanes of equally many rows. The rows of a lane are candidates of one prompt and
share its keys and values; of the codes, each layer keeps what its mask can still see (`kv_cache`).
A step does the same work on the same memory at every position.

Dimensions: l lanes, c candidates (rows) of a lane, t text slots, g given codes, h heads, k head
width, d width, p pairs of a head, K image codes.
"""

from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor, nn

from stages.models import rotary
from stages.models.kv_cache import CacheLayout, CacheSlot, KVCache
from stages.models.masks import make_mask, masked_attention
from stages.models.prior import Prior


class Prefix:
    """A caption and given codes after one forward pass: keys, values and the next code's logits."""

    def __init__(self, prior: Prior, text: Int[Tensor, " T"], given: Int[Tensor, " g"]) -> None:
        self.given = given
        self.layers: list[tuple[Float[Tensor, "h t+g k"], Float[Tensor, "h t+g k"]]] = []
        slots = prior.text_slots + len(given)
        angles = prior.angles_at(slice(slots))
        masks = {
            name: make_mask(name, prior.layout)[:slots, :slots].to(given.device)
            for name in prior.mask_names
        }
        position = torch.arange(len(given), device=given.device)
        of_given = prior.embed_image(rearrange(given, "g -> 1 g"), position)
        x = torch.cat([prior.embed_text(rearrange(text, "t -> 1 t")), of_given], dim=1)
        for name, block in zip(prior.mask_names, prior.blocks, strict=True):

            def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor = masks[name]) -> Tensor:
                q, k = rotary.rotate(q, angles), rotary.rotate(k, angles)
                self.layers.append((k[0], v[0]))
                return masked_attention(q, k, v, mask)

            x = block(x, attend)
        first = prior.image_head(prior.norm(x[:, -1:]))
        self.first_logits: Float[Tensor, " K"] = rearrange(first, "1 1 K -> K")


class TileDecoder:
    """Lanes of candidates, decoded code by code: `load` the prefixes, then `step` by step."""

    def __init__(
        self, prior: Prior, lanes: int, rows: int, dtype: torch.dtype, *, compiled: bool = False
    ) -> None:
        self.prior, self.rows = prior, rows
        device, text, width = prior.start.device, prior.text_slots, prior.shape.head_dim
        self.layouts = {
            name: CacheLayout.of_mask(make_mask(name, prior.layout)[text:, text:]).to(device)
            for name in set(prior.mask_names)
        }
        like = torch.empty(lanes, prior.shape.heads, width, dtype=dtype, device=device)
        self.caches = [
            KVCache.empty(self.layouts[name], text, rows, like) for name in prior.mask_names
        ]
        # raster position of the code that is decoded next; on the device, so a graph can advance it
        self.position = torch.zeros(1, dtype=torch.long, device=device)
        self.run_block = torch.compile(run_block, dynamic=False) if compiled else run_block

    @property
    def nbytes(self) -> int:
        return sum(cache.nbytes for cache in self.caches)

    def load(self, prefixes: Sequence[Prefix]) -> Float[Tensor, "l c K"]:
        """Start over with a prefix for each lane; return the logits of every row's next code.

        All prefixes must have the same number of given codes.
        """
        given, text = len(prefixes[0].given), self.prior.text_slots
        for layer, (name, cache) in enumerate(zip(self.prior.mask_names, self.caches, strict=True)):
            stored = self.layouts[name].stored_after(given)
            of_text, of_image = cache[:2], cache[2:]
            for part, (texts, images) in enumerate(zip(of_text, of_image, strict=True)):
                known = torch.stack([prefix.layers[layer][part] for prefix in prefixes])
                texts.copy_(known[:, :, :text])
                if given:
                    image = rearrange(known[:, :, text + stored], "l h g s k -> g (l h) 1 s k")
                    images.unflatten(1, (-1, self.rows)).copy_(image)
        self.position.fill_(given)
        logits = torch.stack([prefix.first_logits for prefix in prefixes])
        return repeat(logits, "l K -> l c K", c=self.rows)

    def step(self, codes: Int[Tensor, "l c"]) -> Float[Tensor, "l c K"]:
        """Take the next code of every row; return the logits of the one after it."""
        prior = self.prior
        x = prior.embed_image(codes, self.position)
        at = {name: layout.at(self.position) for name, layout in self.layouts.items()}
        angles = prior.angles_at(prior.text_slots + self.position)
        for name, block, cache in zip(prior.mask_names, prior.blocks, self.caches, strict=True):
            x = self.run_block(block, x, cache, at[name], angles)
        self.position += 1
        return prior.image_head(prior.norm(x))


def run_block(
    block: nn.Module,
    x: Float[Tensor, "l c d"],
    cache: KVCache,
    at: CacheSlot,
    angles: Float[Tensor, "1 p"] | None,
) -> Float[Tensor, "l c d"]:
    """Run one transformer block on the newest code of every row, with the block's cache."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cache.update(rotary.rotate(k, angles), v, at)
        return cache.attend(rotary.rotate(q, angles), at)

    return block(x, attend)
