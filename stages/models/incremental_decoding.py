"""Candidates that are decoded side by side, code by code, each lane after its own prompt.

All rows of a lane share the keys and values of its prompt; of the codes, each layer keeps what its
mask can still see (`cache`). A step does the same on the same memory, wherever it stands.

Dimensions: l lanes, c candidates (rows) of a lane, t text slots, g given codes, h heads, k head
width, d width, p pairs of a head, K image codes.
"""

from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor, nn

from stages.models import rotary
from stages.models.attention import make_mask, masked_attention
from stages.models.cache import At, LayerCache, reach_of
from stages.models.prior import Prior


class Prompt:
    """A caption, and given codes, as later codes see them: keys and values, and the next logits."""

    def __init__(self, prior: Prior, text: Int[Tensor, " T"], given: Int[Tensor, " g"]) -> None:
        self.given = given
        self.layers: list[tuple[Float[Tensor, "h t+g k"], Float[Tensor, "h t+g k"]]] = []
        slots = prior.text_slots + len(given)
        angles = prior.angles_at(slice(slots))
        masks = {
            name: make_mask(name, prior.layout)[:slots, :slots].to(given.device)
            for name in prior.mask_names
        }
        place = torch.arange(len(given), device=given.device)
        of_given = prior.embed_image(rearrange(given, "g -> 1 g"), place)
        x = torch.cat([prior.embed_text(rearrange(text, "t -> 1 t")), of_given], dim=1)
        for name, block in zip(prior.mask_names, prior.blocks, strict=True):

            def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor = masks[name]) -> Tensor:
                q, k = rotary.turned(q, angles), rotary.turned(k, angles)
                self.layers.append((k[0], v[0]))
                return masked_attention(q, k, v, mask)

            x = block(x, attend)
        first = prior.image_head(prior.norm(x[:, -1:]))
        self.first_logits: Float[Tensor, " K"] = rearrange(first, "1 1 K -> K")


class Tile:
    """Lanes of candidates that are decoded side by side, code by code."""

    def __init__(
        self, prior: Prior, lanes: int, rows: int, dtype: torch.dtype, *, compiled: bool = False
    ) -> None:
        self.prior, self.rows = prior, rows
        device, text, width = prior.start.device, prior.text_slots, prior.shape.head_dim
        self.reach = {
            name: reach_of(make_mask(name, prior.layout)[text:, text:]).to(device)
            for name in set(prior.mask_names)
        }
        like = torch.empty(lanes, prior.shape.heads, width, dtype=dtype, device=device)
        self.caches = [
            LayerCache.empty(self.reach[name], text, rows, like) for name in prior.mask_names
        ]
        self.known = torch.zeros(1, dtype=torch.long, device=device)  # codes that are kept
        self.through = torch.compile(_through, dynamic=False) if compiled else _through

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(cache.nbytes for cache in self.caches)

    def load(self, prompts: Sequence[Prompt]) -> Float[Tensor, "l c K"]:
        """Begin anew with a prompt for each lane, all with as many given codes; return logits."""
        given, text = len(prompts[0].given), self.prior.text_slots
        for layer, (name, cache) in enumerate(zip(self.prior.mask_names, self.caches, strict=True)):
            kept = self.reach[name].kept(given)
            of_text, of_image = cache[:2], cache[2:]
            for part, (texts, images) in enumerate(zip(of_text, of_image, strict=True)):
                known = torch.stack([prompt.layers[layer][part] for prompt in prompts])
                texts.copy_(known[:, :, :text])
                if given:
                    image = rearrange(known[:, :, text + kept], "l h g s k -> g (l h) 1 s k")
                    images.unflatten(1, (-1, self.rows)).copy_(image)
        self.known.fill_(given)
        logits = torch.stack([prompt.first_logits for prompt in prompts])
        return repeat(logits, "l K -> l c K", c=self.rows)

    def step(self, codes: Int[Tensor, "l c"]) -> Float[Tensor, "l c K"]:
        """Take the next code of every row; return the logits of the one after it."""
        prior = self.prior
        x = prior.embed_image(codes, self.known)
        at = {name: reach.at(self.known) for name, reach in self.reach.items()}
        angles = prior.angles_at(prior.text_slots + self.known)
        for name, block, cache in zip(prior.mask_names, prior.blocks, self.caches, strict=True):
            x = self.through(block, x, cache, at[name], angles)
        self.known += 1
        return prior.image_head(prior.norm(x))


def _through(
    block: nn.Module,
    x: Float[Tensor, "l c d"],
    cache: LayerCache,
    at: At,
    angles: Float[Tensor, "1 p"] | None,
) -> Float[Tensor, "l c d"]:
    """Go through one block with its cache."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return cache.attend(rotary.turned(q, angles), rotary.turned(k, angles), v, at)

    return block(x, attend)
