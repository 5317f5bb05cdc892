"""Drawing 64 pictures of one prompt on a CPU: our cache beside three other ways.

`python -m tests.bench.drawing` times steps at evenly spaced codes of the picture, in turns, and
multiplies by the number of codes; `--whole` draws whole pictures by the ways that have a cache
(about ten minutes on two cores). The prompt's own pass is left out everywhere. Untrained weights,
float32, 256 + 1024 tokens, 8 layers of width 512:

* no cache: full forward passes of a few rows at five lengths, their mean taken for every code's;
* dense: the same model without masks; every candidate has its own copy of the prompt, caches are
  preallocated, and only what is filled is read, by torch's fused attention;
* transformers: `generate` of a Llama of the same width and depth with its static cache, which reads
  all places at every step, so that its time does not depend on the code. Text and image share one
  vocabulary there.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import StaticCache

from schemas.settings import PriorShape, TokenSpec, rows_of_lane
from stages.models.incremental_decoding import Prefix, TileDecoder
from stages.models.prior import Prior
from stages.models.sampler import Sampler
from stages.models.sampling import DEFAULT_SAMPLING, sample_code
from tests.bench.clock import matrix_product, middle, seconds
from tests.bench.drawing_floor import Machine, bandwidth, step_of
from tests.bench.on_gpu import llama

TOKENS = TokenSpec(text_vocab=16_384, text_len=256, image_vocab=8_192, grid=32)
SHAPE = PriorShape(layers=8, heads=8, head_dim=64)
CANDIDATES = 64
PLACES = [1, 150, 300, 450, 600, 750, 900, 1_020]  # codes at which steps are timed
LENGTHS, ROWS = 5, 2  # of full forward passes
COPIED = 256  # megabytes, by which the bandwidth of memory is measured
CPU = torch.device("cpu")


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    """Print seconds a picture, their ratios, bytes of cache and the share of the floor."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drawing")
    parser.add_argument("--whole", action="store_true", help="draw whole pictures as well")
    whole = parser.parse_args(arguments).whole
    torch.manual_seed(0)
    text = torch.randint(TOKENS.text_vocab, (TOKENS.text_len,))
    ours, dense, other = Ours(text), Dense(text), Llama()
    product = matrix_product(torch.float32)
    taken = seconds(
        product=product, ours=ours.steps, dense=dense.steps,
        short=lambda: other.generate(2), long=lambda: other.generate(2 + len(PLACES)),
    )  # fmt: skip
    steps = {
        "ours": middle(taken["ours"], "wall") / len(PLACES),
        "no cache": without_cache(ours.prior, text),
        "dense static cache": middle(taken["dense"], "wall") / len(PLACES),
        "transformers": (middle(taken["long"], "wall") - middle(taken["short"], "wall"))
        / len(PLACES),
    }
    print(
        f"drawing {CANDIDATES} pictures of one prompt, {TOKENS.text_len} + {TOKENS.image_len} "
        f"tokens, {SHAPE.layers} layers of {SHAPE.width}, {torch.get_num_threads()} threads"
    )
    for name, step in steps.items():
        each = step * TOKENS.image_len / CANDIDATES
        print(f"{name:18}  {each:7.3f} s a picture, {step / steps['ours']:6.2f} times ours")
    flops = 2 * 2_048**3 / middle(taken["product"], "wall")
    machine = Machine(bandwidth(CPU, COPIED), flops)
    floor = step_of(TOKENS, SHAPE, CANDIDATES, torch.float32.itemsize)
    print(
        f"a step reaches {floor.seconds(machine) / steps['ours']:.0%} of its floor, made of "
        f"{floor.limit(machine)} ({machine})"
    )
    print(
        f"cache of a candidate: ours {ours.decoder.nbytes / CANDIDATES / 1e6:.1f} MB, "
        f"dense {dense.nbytes / CANDIDATES / 1e6:.1f} MB"
    )
    if whole:
        for name, draw in (("ours", ours.draw), ("dense", dense.draw), ("llama", other.draw)):
            started = time.perf_counter()
            draw()
            print(f"whole, {name}: {(time.perf_counter() - started) / CANDIDATES:.3f} s a picture")


class Ours:
    """The sampler, with a tile for all candidates."""

    def __init__(self, text: Tensor) -> None:
        self.prior, self.text = Prior(TOKENS, SHAPE).eval(), text
        rows = rows_of_lane(CANDIDATES)
        lanes = CANDIDATES // rows
        self.decoder = TileDecoder(self.prior, lanes, rows, torch.float32)
        self.decoder.load([Prefix(self.prior, text, text[:0])] * lanes)
        self.codes = torch.randint(TOKENS.image_vocab, (lanes, rows))
        self.uniform = torch.rand(lanes, rows, dtype=torch.double)

    def steps(self) -> None:
        for place in PLACES:
            self.decoder.position.fill_(place)
            sample_code(self.decoder.step(self.codes), self.uniform, DEFAULT_SAMPLING)

    def draw(self) -> None:
        sampler = Sampler(self.prior, tile=CANDIDATES)
        sampler.draw(self.text[None], torch.arange(CANDIDATES)[None])


class Dense:
    """A usual cache: every row has the keys and values of all slots, the prompt's among them."""

    def __init__(self, text: Tensor) -> None:
        self.prior = Prior(TOKENS, SHAPE.model_copy(update={"attention": "dense"})).eval()
        self.first = self.prior.text_slots
        shape = (CANDIDATES, SHAPE.heads, self.prior.layout.slots, SHAPE.head_dim)
        self.caches = [torch.zeros(2, *shape) for _ in range(SHAPE.layers)]
        for cache, kept in zip(self.caches, Prefix(self.prior, text, text[:0]).layers, strict=True):
            for part, own in zip(cache, kept, strict=True):
                part[:, :, : self.first] = own
        self.codes = torch.randint(TOKENS.image_vocab, (1, CANDIDATES))
        self.uniform = torch.rand(1, CANDIDATES, dtype=torch.double)

    @property
    def nbytes(self) -> int:
        return sum(cache.nbytes for cache in self.caches)

    def step(self, codes: Tensor, place: int) -> Tensor:
        """Take the code of every row at this place; return the logits of the next."""
        slot = self.first + place
        x = self.prior.embed_image(codes.T, torch.tensor([place]))
        for block, (keys, values) in zip(self.prior.blocks, self.caches, strict=True):

            def attend(
                q: Tensor, k: Tensor, v: Tensor, keys: Tensor = keys, values: Tensor = values
            ) -> Tensor:
                keys[:, :, slot], values[:, :, slot] = k[:, :, 0], v[:, :, 0]
                seen = slice(slot + 1)
                return F.scaled_dot_product_attention(q, keys[:, :, seen], values[:, :, seen])

            x = block(x, attend)
        return self.prior.image_head(self.prior.norm(x)).transpose(0, 1)

    def steps(self) -> None:
        for place in PLACES:
            sample_code(self.step(self.codes, place), self.uniform, DEFAULT_SAMPLING)

    def draw(self) -> None:
        codes = self.codes
        for place in range(TOKENS.image_len - 1):
            codes = sample_code(self.step(codes, place), self.uniform, DEFAULT_SAMPLING)


class Llama:
    """A model of the same width and depth in transformers."""

    def __init__(self) -> None:
        slots = TOKENS.text_len + TOKENS.image_len
        self.model = llama(TOKENS, SHAPE, slots + 1, bos_token_id=None, eos_token_id=None).eval()

    def generate(self, tokens: int, prompt: int = 1) -> None:
        """Draw so many tokens after a prompt, with a cache for all slots of a picture."""
        self.model.generate(
            torch.zeros(CANDIDATES, prompt, dtype=torch.long),
            attention_mask=torch.ones(CANDIDATES, prompt, dtype=torch.long),
            past_key_values=StaticCache(
                config=self.model.config,
                max_cache_len=self.model.config.max_position_embeddings,
            ),
            max_new_tokens=tokens,
            do_sample=True,
            top_k=0,
            pad_token_id=0,
        )

    def draw(self) -> None:
        """Draw all pictures whole, their prompt included."""
        self.generate(TOKENS.image_len, 1 + TOKENS.text_len)


def without_cache(prior: Prior, text: Tensor) -> float:
    """Return seconds a code of all candidates by full forward passes."""
    batch = text.expand(ROWS, -1)
    passes: list[Callable[[], object]] = []
    for number in range(LENGTHS):
        codes = torch.zeros(
            ROWS, number * (TOKENS.image_len - 1) // (LENGTHS - 1), dtype=torch.long
        )
        passes.append(lambda codes=codes: prior(batch, codes))
    passes[0]()
    started = time.perf_counter()
    for one in passes:
        one()
    return (time.perf_counter() - started) / LENGTHS * CANDIDATES / ROWS


if __name__ == "__main__":
    main()
