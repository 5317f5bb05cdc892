"""Drawing codes from the prior: many candidates per caption, each the same in any company.

Paper: section 2.6. Beyond it, for priors that were trained with some captions left out: guidance,
which follows the caption more closely (Ho and Salimans 2021). Where the first codes of a picture
are given, it is completed (the paper's image-to-image translation, section 3.3).

A picture belongs to (seed, prompt, candidate), whatever else is drawn beside it:

* Its random numbers come from its own seed alone (counter-based, drawn on the CPU).
* Its arithmetic is always the same. A prompt is computed alone. Candidates are computed in *lanes*
  of a fixed number of rows and one prompt each, candidate i always in row i % rows of its lane; and
  lanes in *tiles* of a fixed number of lanes, the last one filled up with copies. So every product
  has one shape whatever is drawn, and a library that rounds differently for another batch size has
  no occasion to. What can vary is a lane's place in its tile; a test holds that it does not matter.

A step does the same on the same memory, wherever it stands (`tile`): on a GPU it is recorded once
as a graph and replayed.

Dimensions: l lanes, c candidates (rows) of a lane, p prompts, n candidates of a prompt, g given
codes, K image codes, I image length, T text length.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn

from schemas.settings import rows_of_lane
from stages.models.odds import AS_THEY_COME, Odds, choose, uniforms
from stages.models.prior import Prior
from stages.models.tile import Prompt, Tile

WARM_UPS = 3  # before a GPU's work can be recorded


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
        self.prior, self.tile, self.record = prior, tile, record
        self.precision = precision
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
        untold = self._untold(given) if odds.guided else []
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

    def _untold(self, given: Int[Tensor, "p g"]) -> list[Prompt]:
        """Return each prompt without its caption; those that begin with the same codes are one."""
        unsaid = given.new_full((self.prior.tokens.text_len,), self.prior.pad)
        starts = [tuple(codes) for codes in given.tolist()]
        one_each = dict(zip(starts, given, strict=True))
        prompts = {start: Prompt(self.prior, unsaid, own) for start, own in one_each.items()}
        return [prompts[start] for start in starts]

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
