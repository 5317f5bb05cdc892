"""Drawing codes from the prior: many candidates per caption, each the same in any company.

Paper: section 2.6 (temperature 1, all codes allowed). Beyond it: top-k, top-p (Holtzman et al.
2020), and, for priors that were trained with some captions left out, guidance, which follows the
caption more closely (Ho and Salimans 2021). Where the first codes of a picture are given, it is
completed (the paper's image-to-image translation, section 3.3).

A picture belongs to (seed, prompt, candidate), whatever else is drawn beside it:

* Its random numbers come from its own seed alone (counter-based, drawn on the CPU).
* Its arithmetic is always the same. A prompt is computed alone. Candidates are computed in *lanes*
  of a fixed number of rows and one prompt each, candidate i always in row i % rows of its lane; and
  lanes in *tiles* of a fixed number of lanes, the last one filled up with copies. So every product
  has one shape whatever is drawn, and a library that rounds differently for another batch size has
  no occasion to. What can vary is a lane's place in its tile; a test holds that it does not matter.

All rows of a lane share the keys and values of its prompt; of the codes, each layer keeps what its
mask can still see (`cache`). A step does the same on the same memory, wherever it stands: on a GPU
it is recorded once as a graph and replayed.

Dimensions: l lanes, c candidates (rows) of a lane, p prompts, n candidates of a prompt, t text
slots, g given codes, h heads, k head width, K image codes, I image length.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn

from schemas.errors import ConfigError
from stages.models import rotary
from stages.models.attention import make_mask, masked_attention
from stages.models.cache import At, LayerCache, reach_of
from stages.models.prior import Prior

LANE = 16  # rows at least; wide enough for a good matrix product, narrow enough for few candidates
LANES = 4  # of a larger tile: each reads its prompt anew
WARM_UPS = 3  # before a GPU's work can be recorded


def candidate_seed(seed: int, prompt: str, candidate: int) -> int:
    """Derive the seed of one picture: 63 bits that depend on nothing else."""
    digest = hashlib.sha256(f"{seed}\n{candidate}\n{prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def uniforms(seed: int, count: int) -> Float64[Tensor, " I"]:
    """Return a picture's random numbers in [0, 1), one for each of its codes."""
    return torch.from_numpy(np.random.Generator(np.random.Philox(key=seed)).random(count))


def rows_of_lane(tile: int) -> int:
    """Return how many candidates of one prompt are computed together.

    Raises ConfigError for a tile that is no whole number of lanes.
    """
    rows = min(tile, max(LANE, tile // LANES))
    if tile % rows:
        raise ConfigError(
            f"sample.tile: wanted a multiple of {LANE}, or less than that, found {tile}; "
            f"try {tile - tile % LANE}"
        )
    return rows


class Odds(NamedTuple):
    """How codes are drawn from logits; as they come, in the paper."""

    temperature: float = 1.0
    top_k: int = 0  # likeliest codes that can come; 0 for all
    top_p: float = 1.0  # probability that the likeliest codes must reach together
    guidance: float = 1.0  # 1: the caption as the model takes it; 0: no caption

    @property
    def guided(self) -> bool:
        """Say whether every row is computed without its caption, too."""
        return self.guidance != 1


AS_THEY_COME = Odds()


def choose(
    logits: Float[Tensor, "l c K"], uniform: Float64[Tensor, "l c"], odds: Odds
) -> Int[Tensor, "l c"]:
    """Draw one code per row from the softmax, by inverting its cumulative sum.

    With `top_k` > 0 exactly so many codes can come, also where several tie for the last place; with
    `top_p` < 1, of these the fewest that reach it together.
    """
    scaled = logits.double() / odds.temperature
    if 0 < odds.top_k < logits.shape[-1]:
        values, kept = scaled.topk(odds.top_k)
        scaled = torch.full_like(scaled, -math.inf).scatter(-1, kept, values)
    probability = scaled.softmax(dim=-1)
    if odds.top_p < 1:
        falling, order = probability.sort(dim=-1, descending=True, stable=True)
        falling = falling.where(falling.cumsum(dim=-1) - falling < odds.top_p, 0)
        probability = torch.zeros_like(falling).scatter(-1, order, falling)
    cumulative = probability.cumsum(dim=-1)
    cumulative = cumulative / cumulative[..., -1:]  # ends at exactly 1, more than any uniform
    chosen = torch.searchsorted(cumulative, uniform[..., None].contiguous(), right=True)
    return rearrange(chosen, "l c 1 -> l c")


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


class Drawing:
    """Pictures of one tile: their codes are drawn one after another by always the same work."""

    def __init__(
        self, prior: Prior, tile: int, odds: Odds, dtype: torch.dtype, record: bool
    ) -> None:
        rows = rows_of_lane(tile)
        self.odds, self.lanes = odds, tile // rows
        shape, device = (prior.tokens.image_len, self.lanes, rows), prior.start.device
        record = record and device.type == "cuda"
        lanes = self.lanes * (2 if odds.guided else 1)
        self.tile = Tile(prior, lanes, rows, dtype, compiled=record)
        self.uniform = torch.zeros(shape, dtype=torch.double, device=device)
        self.codes = torch.zeros(shape, dtype=torch.long, device=device)
        self.advance = self._advance
        if record:
            self.advance = _recorded(self._advance, self.tile.known.zero_)

    def draw(self, prompts: Sequence[Prompt], seeds: Int[Tensor, "l c"]) -> Int[Tensor, "l c I"]:
        """Draw with a prompt for each lane, and as many without its caption where guided."""
        length = len(self.codes)
        numbers = torch.stack([uniforms(seed, length) for seed in seeds.flatten().tolist()])
        self.uniform.copy_(rearrange(numbers, "(l c) i -> i l c", l=self.lanes))
        logits = self.tile.load(prompts)
        given = torch.stack([prompt.given for prompt in prompts[: self.lanes]])
        first = given.shape[1]
        self.codes[:first] = rearrange(given, "l g -> g l 1")
        self.codes[first] = self._choose(logits, self.uniform[first])
        for _ in range(first + 1, length):
            self.advance()
        return rearrange(self.codes, "i l c -> l c i").clone()

    def _advance(self) -> None:
        """Take the newest code of every row and draw the one after it."""
        (newest,) = self.codes[self.tile.known]
        if self.odds.guided:
            newest = repeat(newest, "l c -> (two l) c", two=2)
        logits = self.tile.step(newest)
        (uniform,) = self.uniform[self.tile.known]
        self.codes[self.tile.known] = rearrange(self._choose(logits, uniform), "l c -> 1 l c")

    def _choose(
        self, logits: Float[Tensor, "lanes c K"], uniform: Float64[Tensor, "l c"]
    ) -> Int[Tensor, "l c"]:
        if self.odds.guided:
            told, untold = logits.chunk(2)
            logits = untold + self.odds.guidance * (told - untold)
        return choose(logits, uniform, self.odds)


def _recorded(work: Callable[[], None], again: Callable[[], object]) -> Callable[[], None]:
    """Record a GPU's work as a graph and return what replays it; `again` undoes a rehearsal."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):  # compiles, chooses algorithms, takes memory
            again()
            work()
        again()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may work on
        work()
    return graph.replay


class Sampler:
    """A prior that draws tile by tile; memory, kernels and graphs are kept from call to call.

    In bfloat16 the matrices of the prior's blocks are kept in 16 bits from now on, and arithmetic
    is that of training in bfloat16. `record=False` is for a few pictures, or beside other work of
    the GPU: steps are then neither compiled nor recorded.
    """

    def __init__(
        self,
        prior: Prior,
        *,
        tile: int = 64,
        precision: Literal["float32", "bfloat16"] = "float32",
        record: bool = True,
    ) -> None:
        rows_of_lane(tile)
        self.prior, self.tile, self.record = prior, tile, record
        self.dtype = torch.float32 if precision == "float32" else torch.bfloat16
        self._drawing: Drawing | None = None
        if self.dtype == torch.bfloat16:
            for block in prior.blocks:
                for module in block.modules():
                    if isinstance(module, nn.Linear):
                        module.to(self.dtype)

    @torch.no_grad()
    def draw(
        self,
        text: Int[Tensor, "p T"],
        seeds: Int[Tensor, "p n"],
        odds: Odds = AS_THEY_COME,
        given: Int[Tensor, "p g"] | None = None,
    ) -> Int[Tensor, "p n I"]:
        """Draw one picture's codes per seed, those of each prompt's candidates 0, 1, ... in order.

        The first codes of a prompt's pictures are those that are given, if any. Several prompts at
        once are quicker than one by one, and give the same.
        """
        if given is None:
            given = text.new_zeros(len(text), 0)
        with self._precision():
            return self._draw(text, seeds, odds, given)

    def _draw(
        self,
        text: Int[Tensor, "p T"],
        seeds: Int[Tensor, "p n"],
        odds: Odds,
        given: Int[Tensor, "p g"],
    ) -> Int[Tensor, "p n I"]:
        drawing, rows = self._drawing_by(odds), rows_of_lane(self.tile)
        told = [Prompt(self.prior, *one) for one in zip(text, given, strict=True)]
        unsaid = torch.full_like(text[0], self.prior.pad)
        untold = [Prompt(self.prior, unsaid, own) for own in given] if odds.guided else []
        lanes_each = math.ceil(seeds.shape[1] / rows)
        # a lane that is not full repeats its prompt's last seed, a tile that is not full the last
        # lane
        lanes = rearrange(_stretch(seeds, lanes_each * rows, dim=1), "p (l c) -> (p l) c", c=rows)
        owners = torch.arange(len(text)).repeat_interleave(lanes_each)
        many = math.ceil(len(lanes) / drawing.lanes) * drawing.lanes
        tiles = [
            drawing.draw([prompts[i] for prompts in (told, untold) if prompts for i in own], lane)
            for own, lane in zip(
                _stretch(owners, many, dim=0).split(drawing.lanes),
                _stretch(lanes, many, dim=0).split(drawing.lanes),
                strict=True,
            )
        ]
        codes = torch.cat(tiles)[: len(lanes)]
        return rearrange(codes, "(p l) c i -> p (l c) i", p=len(text))[:, : seeds.shape[1]]

    def _drawing_by(self, odds: Odds) -> Drawing:
        if self._drawing is None or self._drawing.odds != odds:
            self._drawing = None  # its memory first
            self._drawing = Drawing(self.prior, self.tile, odds, self.dtype, self.record)
        return self._drawing

    def _precision(self) -> AbstractContextManager[object]:
        short = self.dtype == torch.bfloat16
        return torch.autocast(self.prior.start.device.type, torch.bfloat16, enabled=short)


def sample(
    prior: Prior,
    text: Int[Tensor, "p T"],
    seeds: Int[Tensor, "p n"],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    guidance: float = 1.0,
    tile: int = 64,
    given: Int[Tensor, "p g"] | None = None,
) -> Int[Tensor, "p n I"]:
    """Draw as `Sampler.draw` does, once.

    A tile has `tile` rows: some whole lanes, or a single narrower one; twice as many with guidance
    other than 1, for then each row is also computed without its caption.
    """
    odds = Odds(temperature, top_k, top_p, guidance)
    return Sampler(prior, tile=tile).draw(text, seeds, odds, given)


def _stretch(values: Tensor, size: int, *, dim: int) -> Tensor:
    """Repeat the last entry of `dim` until there are `size`."""
    index = torch.arange(size).clamp(max=values.shape[dim] - 1)
    return values.index_select(dim, index)
