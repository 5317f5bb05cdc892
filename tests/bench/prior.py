"""The prior's training step against the dense reference and against a GPT-2 of the same size.

`python -m tests.bench.prior [threads [width [layers]]]`: all ratios from one run on the CPU. GPT-2
is that of transformers with scaled-dot-product attention: as wide, as deep, one alphabet of all
text and image tokens, the same optimizer. The floor is the time of the step's products and allowed
attention at the rate of a large matrix product.
"""

import os
import sys
from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from schemas.settings import PriorShape, TokenSpec
from stages.models.flops import prior_flops
from stages.models.masks import Attend, MaskName, make_mask, masked_attention
from stages.models.prior import Prior, prior_terms
from tests.bench.clock import MATRIX, Taken, in_words, matrix_product, middle, ratio, seconds
from tests.bench.updates import update
from tests.stages.models.losses import prior_loss

ROWS = 2  # of an update
HEAD = 64
GRIDS = (8, 16, 24, 32, 48)  # how the time of a step grows
Step = Callable[[], None]


class DensePrior(Prior):
    """Ours with the masked reference in place of the structured paths."""

    def attention(self, name: MaskName, slots: int, device: torch.device) -> Attend:
        return partial(masked_attention, mask=whole_mask(name, self.layout))


whole_mask = cache(make_mask)


def rows(tokens: TokenSpec) -> tuple[Tensor, Tensor]:
    text = torch.randint(tokens.text_vocab, (ROWS, tokens.text_len))
    return text, torch.randint(tokens.image_vocab, (ROWS, tokens.image_len))


def our_step(kind: type[Prior], tokens: TokenSpec, shape: PriorShape, bfloat16: bool) -> Step:
    torch.manual_seed(0)
    model = kind(tokens, shape)
    text, image = rows(tokens)
    return update(model, lambda: prior_loss(prior_terms(model, text, image)), bfloat16)


def gpt2_step(tokens: TokenSpec, shape: PriorShape, bfloat16: bool) -> Step:
    """Return a step of GPT-2 over the same tokens in one alphabet."""
    config = GPT2Config(
        vocab_size=tokens.text_vocab + 1 + tokens.image_vocab,
        n_positions=tokens.text_len + tokens.image_len,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        attn_implementation="sdpa",
    )
    model = GPT2LMHeadModel(config)
    text, image = rows(tokens)
    ids = torch.cat([text, tokens.text_vocab + 1 + image], dim=1)

    def loss() -> Tensor:
        logits = model(ids).logits[:, :-1]
        return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())

    return update(model, loss, bfloat16)


def compare(tokens: TokenSpec, shape: PriorShape, bfloat16: bool) -> None:
    """Print one line for each model, and the floor."""
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    taken = seconds(
        ours=our_step(Prior, tokens, shape, bfloat16),
        dense=our_step(DensePrior, tokens, shape, bfloat16),
        gpt2=gpt2_step(tokens, shape, bfloat16),
        product=matrix_product(dtype),
    )
    slots = ROWS * (tokens.text_len + tokens.image_len)
    print(f"{'bfloat16' if bfloat16 else 'float32'}:")
    for name in ("ours", "dense", "gpt2"):
        times = taken[name]
        print(
            f"  {name:6} {in_words(times)} a step, {slots / middle(times, 'wall'):,.0f} tokens/s"
            + ("" if name == "ours" else f"; ours is {in_ratio(times, taken['ours'])}")
        )
    rate = 2 * MATRIX**3 / middle(taken["product"], "cpu")
    floor = 3 * prior_flops(tokens, shape) * ROWS / rate
    print(
        f"  floor  {floor:.2f} CPU s a step at {rate / 1e9:.0f} GFLOP per CPU second; "
        f"{floor / middle(taken['ours'], 'cpu'):.0%} of it reached"
    )


def in_ratio(slow: list[Taken], quick: list[Taken]) -> str:
    wall, cpu = (ratio(slow, quick, clock) for clock in ("wall", "cpu"))
    return f"{wall:.2f} times as fast ({cpu:.2f} in CPU seconds)"


def growth(bfloat16: bool) -> None:
    """Print the CPU time of a step for a thousand tokens, at several lengths of the sequence."""
    shape = PriorShape(layers=4, heads=4, head_dim=HEAD)
    print("milliseconds of CPU for a thousand tokens, 4 layers of 256, small alphabets:")
    for grid in GRIDS:
        tokens = TokenSpec(text_vocab=512, image_vocab=512, grid=grid)
        taken = seconds(
            ours=our_step(Prior, tokens, shape, bfloat16),
            dense=our_step(DensePrior, tokens, shape, bfloat16),
        )
        slots = tokens.text_len + tokens.image_len
        each = {n: 1e6 * middle(times, "cpu") / ROWS / slots for n, times in taken.items()}
        print(f"  {slots:5} tokens: ours {each['ours']:6.0f}, dense {each['dense']:6.0f}")


def main(threads: int = len(os.sched_getaffinity(0)), width: int = 512, layers: int = 8) -> None:
    torch.set_num_threads(threads)
    tokens, shape = TokenSpec(), PriorShape(layers=layers, heads=width // HEAD, head_dim=HEAD)
    print(
        f"prior of {layers} layers, width {width}, 256 + 1024 tokens, {ROWS} rows; "
        f"threads: {threads}; torch {torch.__version__}"
    )
    for bfloat16 in (False, True):
        compare(tokens, shape, bfloat16)
    growth(bfloat16=False)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
