"""Drawing pictures' codes from the prior: many candidates per caption, each the same in any batch.

Paper: section 2.6; where the first codes of a picture are given, it is completed (the paper's
image-to-image translation, section 3.3). How a single code is drawn is in `sampling`.

A picture comes with its log-likelihood: the sum of ln p of each code that was drawn, after the
caption and the codes before it. It is that of the prior itself, without temperature, top-k, top-p
and guidance, so a forward pass over the finished codes gives the same.

A picture is a function of (seed, prompt, candidate), whatever is drawn in the same batch:

* Its random numbers come from its own seed alone (counter-based, drawn on the CPU).
* Its arithmetic is always the same. A prompt is computed alone. Candidates are computed in *lanes*
  of a fixed number of rows and one prompt each, candidate i always in row i % rows of its lane; and
  lanes in *tiles* of a fixed number of lanes, the last tile filled up with copies. So every product
  has one shape whatever is drawn, and a library that rounds differently for another batch size has
  no occasion to. What can vary is a lane's place in its tile; a test holds that it does not matter.

A step does the same work on the same memory at every position (`incremental_decoding`): on a GPU it
is recorded once as a CUDA graph and replayed.

Dimensions: l lanes, c candidates (rows) of a lane, p prompts, n candidates of a prompt, g given
codes, K image codes, I image length, T text length.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn

from schemas.settings import rows_of_lane
from stages.models.incremental_decoding import Prefix, TileDecoder
from stages.models.prior import Prior
from stages.models.sampling import DEFAULT_SAMPLING, SamplingParams, guide, sample_code, uniforms

WARM_UPS = 3  # steps before CUDA can record one


class DrawnCodes(NamedTuple):
    """Codes of pictures, and how likely the prior finds them."""

    codes: Int[Tensor, "*pictures I"]
    log_likelihood: Float[Tensor, "*pictures"]  # nats


class TileSampler:
    """Draws the pictures of one tile at a time, code by code.

    With guidance a second half of the lanes has the same codes after an empty caption.
    """

    def __init__(
        self, prior: Prior, tile: int, sampling: SamplingParams, dtype: torch.dtype, record: bool
    ) -> None:
        rows = rows_of_lane(tile)
        self.sampling, self.lanes = sampling, tile // rows
        shape, device = (prior.tokens.image_len, self.lanes, rows), prior.start.device
        record = record and device.type == "cuda"
        lanes = self.lanes * (2 if sampling.guided else 1)
        self.decoder = TileDecoder(prior, lanes, rows, dtype, compiled=record)
        self.uniform = torch.zeros(shape, dtype=torch.double, device=device)
        self.codes = torch.zeros(shape, dtype=torch.long, device=device)
        self.log_likelihood = torch.zeros(shape[1:], dtype=torch.double, device=device)
        self.advance = self._advance
        if record:
            self.advance = _recorded(self._advance, reset=self.decoder.position.zero_)

    def draw(self, prefixes: Sequence[Prefix], seeds: Int[Tensor, "l c"]) -> DrawnCodes:
        """Draw a picture per seed; each lane has a prefix, and with guidance then an empty one."""
        length = len(self.codes)
        numbers = torch.stack([uniforms(seed, length) for seed in seeds.flatten().tolist()])
        self.uniform.copy_(rearrange(numbers, "(l c) i -> i l c", l=self.lanes))
        logits = self.decoder.load(prefixes)
        given = torch.stack([prefix.given for prefix in prefixes[: self.lanes]])
        first = given.shape[1]
        self.codes[:first] = rearrange(given, "l g -> g l 1")
        self.log_likelihood.zero_()
        self.codes[first] = self._sample(logits, self.uniform[first])
        for _ in range(first + 1, length):
            self.advance()
        return DrawnCodes(
            rearrange(self.codes, "i l c -> l c i").clone(), self.log_likelihood.float()
        )

    def _advance(self) -> None:
        """Decode the newest code of every row and draw the one after it."""
        (newest,) = self.codes[self.decoder.position]
        if self.sampling.guided:
            newest = repeat(newest, "l c -> (two l) c", two=2)
        logits = self.decoder.step(newest)
        (uniform,) = self.uniform[self.decoder.position]
        self.codes[self.decoder.position] = rearrange(self._sample(logits, uniform), "l c -> 1 l c")

    def _sample(
        self, logits: Float[Tensor, "lanes c K"], uniform: Float64[Tensor, "l c"]
    ) -> Int[Tensor, "l c"]:
        """Draw a code of every row, and add its log-likelihood."""
        conditional = logits[: self.lanes]
        if self.sampling.guided:
            logits = guide(conditional, logits[self.lanes :], self.sampling.guidance)
        codes = sample_code(logits, uniform, self.sampling)
        own = conditional.log_softmax(dim=-1).gather(-1, rearrange(codes, "l c -> l c 1"))
        self.log_likelihood += rearrange(own, "l c 1 -> l c")
        return codes


def _recorded(work: Callable[[], None], reset: Callable[[], object]) -> Callable[[], None]:
    """Record `work` as a CUDA graph and return its replay; `reset` undoes a warm-up's progress."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):  # compiles, chooses algorithms, allocates
            reset()
            work()
        reset()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may use it
        work()
    return graph.replay


class Sampler:
    """Draws any number of pictures, tile by tile; caches and graphs are kept from call to call.

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
        self._kept: TileSampler | None = None
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
        sampling: SamplingParams = DEFAULT_SAMPLING,
        given: Int[Tensor, "p g"] | None = None,
    ) -> DrawnCodes:
        """Draw one picture's codes per seed; a prompt's seeds are those of candidates 0, 1, ...

        Each prompt's pictures begin with its `given` codes. Several prompts at once are faster than
        one by one, and give the same pictures.
        """
        if given is None:
            given = text.new_zeros(len(text), 0)
        short = self.dtype == torch.bfloat16
        with torch.autocast(self.prior.start.device.type, torch.bfloat16, enabled=short):
            sampler, rows = self.tile_sampler(sampling), rows_of_lane(self.tile)
            prefixes = [[Prefix(self.prior, *one) for one in zip(text, given, strict=True)]]
            if sampling.guided:
                prefixes.append(self._unconditional(given))
            lanes_each = math.ceil(seeds.shape[1] / rows)
            # a prompt's last lane is filled up with its last seed, the last tile with the last lane
            seeds_of_lanes = _stretch(seeds, lanes_each * rows, dim=1).view(-1, rows)
            prompt_of_lane = torch.arange(len(text)).repeat_interleave(lanes_each)
            padded = math.ceil(len(prompt_of_lane) / sampler.lanes) * sampler.lanes
            tiles = [
                sampler.draw([some[i] for some in prefixes for i in prompts], lane_seeds)
                for prompts, lane_seeds in zip(
                    _stretch(prompt_of_lane, padded, dim=0).split(sampler.lanes),
                    _stretch(seeds_of_lanes, padded, dim=0).split(sampler.lanes),
                    strict=True,
                )
            ]
        codes, log_likelihood = (
            torch.cat(parts)[: len(prompt_of_lane)] for parts in zip(*tiles, strict=True)
        )
        return DrawnCodes(
            rearrange(codes, "(p l) c i -> p (l c) i", p=len(text))[:, : seeds.shape[1]],
            rearrange(log_likelihood, "(p l) c -> p (l c)", p=len(text))[:, : seeds.shape[1]],
        )

    def tile_sampler(self, sampling: SamplingParams) -> TileSampler:
        """Return the tile sampler of these parameters: the last one, or a new one in its memory."""
        if self._kept is None or self._kept.sampling != sampling:
            self._kept = None  # frees its memory before the next one allocates
            self._kept = TileSampler(self.prior, self.tile, sampling, self.dtype, self.record)
        return self._kept

    def _unconditional(self, given: Int[Tensor, "p g"]) -> list[Prefix]:
        """Return each prompt's prefix with an empty caption; equal given codes share one."""
        empty_caption = given.new_full((self.prior.tokens.text_len,), self.prior.pad)
        starts = [tuple(codes) for codes in given.tolist()]
        one_each = dict(zip(starts, given, strict=True))
        made = {start: Prefix(self.prior, empty_caption, own) for start, own in one_each.items()}
        return [made[start] for start in starts]


def _stretch(values: Tensor, size: int, *, dim: int) -> Tensor:
    """Repeat the last entry of `dim` until there are `size`."""
    index = torch.arange(size).clamp(max=values.shape[dim] - 1)
    return values.index_select(dim, index)
