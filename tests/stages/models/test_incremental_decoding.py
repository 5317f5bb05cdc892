"""Stepping code by code gives what the plain forward pass gives, in any company."""

import os
import subprocess
import sys

import pytest
import torch

from schemas.settings import LANE, TokenSpec
from stages.models.incremental_decoding import Prefix, TileDecoder
from stages.models.sampler import Sampler
from tests.stages.models.small_prior import TEXT, VARIANTS, noisy, random_codes

NONE = torch.zeros(0, dtype=torch.long)  # codes given


def plain_logits(prior, text, image):
    """Return what the whole model says of each row's every code: (lane, row, position, code)."""
    rows = image.shape[1]
    return torch.stack(
        [prior(one.expand(rows, -1), own)[1] for one, own in zip(text, image, strict=True)]
    )


def stepped(tile, text, image, given=0):
    """Return the same, code by code, with as many codes given at once."""
    prefixes = [Prefix(tile.prior, *one) for one in zip(text, image[:, 0, :given], strict=True)]
    logits = [tile.load(prefixes)]
    logits += [tile.step(image[:, :, place]) for place in range(given, image.shape[-1] - 1)]
    return torch.stack(logits, dim=2)


def cached_logits(prior, text, image, given=0):
    return stepped(TileDecoder(prior, len(text), image.shape[1], torch.float32), text, image, given)


def require_the_same(prior, candidates, given=0, device="cpu"):
    """Of four prompts with none, some, mostly and only pads, each shared by its candidates."""
    text = torch.cat([TEXT, torch.full_like(TEXT[:1], prior.pad)]).to(device)
    image = random_codes(4, candidates, 16).to(device)
    image[:, :, :given] = image[:, :1, :given]
    plain, cached = plain_logits(prior, text, image), cached_logits(prior, text, image, given)
    torch.testing.assert_close(cached, plain[:, :, given:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("layers", "options"),
    [(1, {}), (3, {})]  # conv; row, column, conv; and, in six layers, all of them twice
    + [(6, options) for options in VARIANTS.values()],
)
@pytest.mark.parametrize(
    ("candidates", "given"), [(1, 0), (7, 0), (64, 0), (7, 1), (7, 4), (7, 7), (7, 15)]
)
@torch.no_grad()
def test_cached_logits_are_those_of_the_plain_forward_pass(layers, options, candidates, given):
    require_the_same(noisy(layers, **options), candidates, given)


@torch.no_grad()
def test_a_tile_that_is_used_again_knows_nothing_of_its_last_pictures():
    prior, image = noisy(3), random_codes(3, 2, 16)
    fresh, tile = cached_logits(prior, TEXT, image), TileDecoder(prior, 3, 2, torch.float32)
    for given in (NONE, random_codes(9), NONE):
        tile.load([Prefix(prior, caption, given) for caption in TEXT[[2, 1, 0]]])
        tile.step(random_codes(3, 2))
        assert torch.equal(stepped(tile, TEXT, image), fresh)


@torch.no_grad()
def test_a_lanes_place_and_company_do_not_change_one_bit():
    """At sizes where libraries do choose between kernels."""
    tokens = TokenSpec(text_vocab=11, text_len=21, image_vocab=300, grid=4)
    prior = noisy(3, tokens, heads=6, head_dim=32, conv_kernel=5)
    texts = torch.randint(12, (8, 21), generator=torch.Generator().manual_seed(0))
    codes = torch.randint(300, (8, LANE, 16), generator=torch.Generator().manual_seed(1))

    def logits_of_lane_3(order: list[int]) -> torch.Tensor:
        return cached_logits(prior, texts[order], codes[order])[order.index(3)]

    before = logits_of_lane_3([0, 1, 2, 3])
    for order in ([3, 4, 5, 6], [7, 3, 1, 0], [2, 2, 3, 2]):
        assert torch.equal(before, logits_of_lane_3(order))


@torch.no_grad()
def test_in_bfloat16_logits_are_those_of_training_in_bfloat16():
    """As far from those in 32 bits as training's are, and no further."""
    prior, image = noisy(6), random_codes(3, 2, 16)
    exact = {name: weight.clone() for name, weight in prior.state_dict().items()}
    plain = plain_logits(prior, TEXT, image)
    with torch.autocast("cpu", torch.bfloat16):
        short = plain_logits(prior, TEXT, image)
    Sampler(prior, tile=2, precision="bfloat16")
    heads = [name for name, weight in prior.state_dict().items() if weight.dtype == torch.float32]
    assert all(torch.equal(prior.state_dict()[name], exact[name]) for name in heads)
    with torch.autocast("cpu", torch.bfloat16):
        tile = TileDecoder(prior, 3, 2, torch.bfloat16)
        off = (stepped(tile, TEXT, image) - plain).abs().mean()
    assert {cache.keys.dtype for cache in tile.caches} == {torch.bfloat16}
    assert 0 < off < 1.3 * (short - plain).abs().mean()


COMPILED = """
import torch
from stages.models.kv_cache import CacheLayout
from stages.models.incremental_decoding import TileDecoder, run_block
from tests.stages.models.test_incremental_decoding import *

CacheLayout.at, image = CacheLayout.at_unknown, random_codes(3, 2, 16)
with torch.no_grad():
    for name in ("paper", "all"):  # every option is on in one of them and off in the other
        torch.compiler.reset()
        prior = noisy(10, **VARIANTS[name])  # more layers than may be compiled apart
        tile = TileDecoder(prior, 3, 2, torch.float32)
        tile.run_block = torch.compile(
            run_block, dynamic=False, fullgraph=True, backend="aot_eager"
        )
        found, plain = stepped(tile, TEXT, image), cached_logits(prior, TEXT, image)
        torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)
"""


def test_a_step_can_be_compiled_as_for_a_gpu():
    """As one graph, all but the kernels; in a process without type checks, which it cannot read."""
    environment = os.environ | {"JAXTYPING_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2_000:]


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@torch.no_grad()
def test_a_step_that_looks_at_no_number_gives_the_logits_of_one_that_does(options, as_a_gpu):
    require_the_same(noisy(3, **options), 2)


@pytest.mark.gpu
@pytest.mark.parametrize("width", [4, 16])  # too narrow for the kernel, and not
@pytest.mark.parametrize("given", [0, 6])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@torch.no_grad()
def test_on_a_gpu_cached_logits_are_those_of_the_plain_forward_pass(options, given, width, on_gpu):
    require_the_same(noisy(3, head_dim=width, **options).to(on_gpu), 16, given, on_gpu)
