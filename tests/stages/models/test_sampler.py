"""Sampling against the plain forward pass, the softmax, and the promise about seeds."""

import itertools
import math
import os
import subprocess
import sys

import pytest
import scipy.stats
import torch

from schemas.settings import LANE, PriorShape, TokenSpec
from stages.models.incremental_decoding import Prefix, TileDecoder
from stages.models.kv_cache import CacheLayout
from stages.models.prior import Prior
from stages.models.sampler import Sampler
from stages.models.sampling import SamplingParams, candidate_seed, sample_code, uniforms
from tests.stages.models.test_prior import VARIANTS

TOKENS = TokenSpec(text_vocab=11, text_len=5, image_vocab=13, grid=4)

NONE = torch.zeros(0, dtype=torch.long)  # codes given
SEED, UNIFORMS = 4163147837928207018, [0.5206054981474657, 0.4447197299631057]


def noisy(layers: int, tokens: TokenSpec = TOKENS, **shape):
    torch.manual_seed(0)
    sizes = {"heads": 2, "head_dim": 4, "conv_kernel": 3} | shape
    prior = Prior(tokens, PriorShape(layers=layers, **sizes)).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.normal_(std=0.3)
    return prior


@pytest.fixture(scope="module")
def prior() -> Prior:
    return noisy(3)


@pytest.fixture
def text() -> torch.Tensor:
    return torch.tensor([[3, 1, 4, 11, 11], [2, 7, 1, 8, 10], [5, 11, 11, 11, 11]])


def seeds(prompts: int, candidates: int):
    return torch.tensor(
        [[candidate_seed(0, f"prompt {p}", c) for c in range(candidates)] for p in range(prompts)]
    )


def plain_logits(prior, text, image):
    """Return what the whole model says of each row's every code: (lane, row, position, code)."""
    rows = image.shape[1]
    return torch.stack(
        [prior(one.expand(rows, -1), own)[1] for one, own in zip(text, image, strict=True)]
    )


def cached_logits(prior, text, image, given=0):
    """Return the same, code by code, with as many codes given at once."""
    decoder = TileDecoder(prior, len(text), image.shape[1], torch.float32)
    prefixes = [Prefix(prior, *one) for one in zip(text, image[:, 0, :given], strict=True)]
    logits = [decoder.load(prefixes)]
    logits += [decoder.step(image[:, :, place]) for place in range(given, image.shape[-1] - 1)]
    return torch.stack(logits, dim=2)


def code_of(logits, uniform, **sampling):
    return sample_code(logits, uniform, SamplingParams(**sampling))


def sample(prior, text, seeds, *, tile, given=None, **sampling):
    return Sampler(prior, tile=tile).draw(text, seeds, SamplingParams(**sampling), given)


def random_codes(*shape: int):
    return torch.randint(13, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("layers", "options"),
    [(layers, {}) for layers in (1, 3, 6)]  # conv; row, column, conv; and all of them twice
    + [(3, options) for options in VARIANTS.values()],
)
@pytest.mark.parametrize("candidates", [1, 7, 64])
@torch.no_grad()
def test_cached_logits_are_those_of_the_plain_forward_pass(layers, options, candidates, text):
    """Of three prompts with none, some and mostly pads, each shared by its lane's candidates."""
    prior, image = noisy(layers, **options), random_codes(3, candidates, 16)
    plain, cached = plain_logits(prior, text, image), cached_logits(prior, text, image)
    torch.testing.assert_close(cached, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("given", [1, 4, 7, 15])
@torch.no_grad()
def test_logits_after_given_codes_are_those_of_the_plain_forward_pass(options, given, text):
    prior, image = noisy(6, **options), random_codes(3, 7, 16)
    image[:, :, :given] = image[:, :1, :given]
    plain = plain_logits(prior, text, image)[:, :, given:]
    cached = cached_logits(prior, text, image, given)
    torch.testing.assert_close(cached, plain, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_guided_cached_logits_are_the_formula_on_the_plain_forward_pass(prior, text):
    """Both branches in one tile, as when drawing."""
    image, empty = random_codes(3, 7, 16), torch.full_like(text, prior.pad)
    cached = cached_logits(prior, torch.cat([text, empty]), torch.cat([image, image])).chunk(2)
    uncached = [plain_logits(prior, captions, image) for captions in (text, empty)]
    guided, plain = (b + 2.5 * (a - b) for a, b in (cached, uncached))
    torch.testing.assert_close(guided, plain, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_tile_that_is_used_again_knows_nothing_of_its_last_pictures(prior, text):
    fresh = cached_logits(prior, text, random_codes(3, 2, 16))
    tile = TileDecoder(prior, 3, 2, torch.float32)
    prompts = [Prefix(prior, caption, NONE) for caption in text]
    for given in (NONE, random_codes(9), NONE):
        logits = [tile.load([Prefix(prior, caption, given) for caption in text[[2, 1, 0]]])]
        tile.step(random_codes(3, 2))
        logits = [tile.load(prompts)]
        logits += [tile.step(random_codes(3, 2, 16)[:, :, place]) for place in range(15)]
        assert torch.equal(torch.stack(logits, dim=2), fresh)


def test_pictures_follow_the_models_joint_distribution():
    """All 16 pictures of a 2 x 2 grid with 2 codes: chi-squared against exact probabilities."""
    prior = noisy(2, TokenSpec(text_vocab=3, text_len=2, image_vocab=2, grid=2))
    text = torch.tensor([[1, 3]])
    every = torch.tensor(list(itertools.product(range(2), repeat=4)))
    with torch.no_grad():
        log_p = prior(text.expand(16, -1), every)[1].log_softmax(-1)
    probability = log_p.gather(-1, every[..., None]).sum(dim=(1, 2)).exp()
    assert probability.sum().item() == pytest.approx(1, abs=1e-5)
    drawn = sample(prior, text, torch.arange(4_000)[None], tile=16 * LANE)[0]
    index = (drawn * torch.tensor([8, 4, 2, 1])).sum(-1)
    counts = torch.bincount(index, minlength=16)
    expected = 4_000 * probability
    chi_squared = ((counts - expected) ** 2 / expected).sum().item()
    assert chi_squared < 37.7  # 15 degrees of freedom, p = 0.001


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 0), (0.5, 0), (1.7, 4)])
def test_draws_follow_the_softmax(temperature, top_k):
    logits = torch.linspace(-1, 1, 6)[torch.randperm(6, generator=torch.Generator().manual_seed(0))]
    uniform = uniforms(7, 20_000)[None]
    drawn = code_of(
        logits.expand(1, 20_000, -1), uniform, temperature=temperature, top_k=top_k
    ).flatten()
    allowed = logits if not top_k else logits.where(logits >= logits.sort().values[-top_k], -1e9)
    expected = 20_000 * (allowed / temperature).softmax(-1)
    kept = expected > 0
    counts = torch.bincount(drawn, minlength=6)
    assert counts[~kept].sum() == 0
    assert ((counts - expected)[kept] ** 2 / expected[kept]).sum() < 20.5  # 5 d.o.f., p = 0.001


@pytest.mark.parametrize("top_k", [1, 3, 7])
def test_top_k_keeps_exactly_k_codes_even_if_all_tie(top_k):
    uniform = torch.linspace(0, 1, 500, dtype=torch.double)[None, :-1]
    drawn = code_of(torch.zeros(1, 499, 7), uniform, top_k=top_k)
    assert len(drawn.unique()) == top_k


@pytest.mark.parametrize("top_k", [0, 6])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.51, 0.9, 0.999, 1.0])
def test_top_p_keeps_the_fewest_codes_that_reach_it(top_p, top_k):
    """By hand, code by code, from the likeliest down."""
    logits = torch.randn(9, generator=torch.Generator().manual_seed(3)).double()
    order = logits.argsort(descending=True)[: top_k or 9].tolist()
    share = logits[order].softmax(0).tolist()
    wanted, reached = set(), 0.0
    for code, own in zip(order, share, strict=True):
        if reached < top_p:
            wanted.add(code)
            reached += own
    uniform = torch.linspace(0, 1, 20_001, dtype=torch.double)[None, :-1]
    drawn = code_of(logits.expand(1, 20_000, -1), uniform, top_k=top_k, top_p=top_p)
    assert set(drawn.unique().tolist()) == wanted
    counts = torch.bincount(drawn.flatten(), minlength=9) / 20_000
    kept = torch.full((9,), -math.inf).double()
    kept[list(wanted)] = logits[list(wanted)]
    torch.testing.assert_close(counts.double(), kept.softmax(0), atol=2e-4, rtol=0)


def test_top_p_keeps_at_least_one_code_where_all_tie():
    uniform = torch.linspace(0, 1, 500, dtype=torch.double)[None, :-1]
    assert code_of(torch.zeros(1, 499, 7), uniform, top_p=1e-9).unique().tolist() == [0]


def test_two_hundred_thousand_first_codes_follow_the_softmax():
    """Two codes jointly, 169 classes: chi-squared against the plain forward pass."""
    prior = noisy(2, TOKENS.model_copy(update={"grid": 2}))
    text, count = torch.tensor([[3, 1, 4, 11, 11]]), 200_000
    with torch.no_grad():
        first = prior(text, torch.zeros(1, 0, dtype=torch.long))[1][0, 0].log_softmax(-1)
        each = torch.arange(13)[:, None]
        second = prior(text.expand(13, -1), each)[1][:, 1].log_softmax(-1)
    expected = count * (first[:, None] + second).exp().flatten().double()
    codes = sample(prior, text, torch.arange(count)[None], tile=4_096)[0]
    counts = torch.bincount(13 * codes[:, 0] + codes[:, 1], minlength=169)
    assert expected.min() > 5  # or the statistic is distributed otherwise
    statistic = ((counts - expected) ** 2 / expected).sum().item()
    assert scipy.stats.chi2.sf(statistic, 168) > 0.001


def test_the_largest_uniform_still_draws_a_possible_code():
    logits = torch.tensor([0.1, 3.0, -1e30, -1e30]).expand(1, 2, -1)
    uniform = torch.tensor([[0.0, 1 - 2**-53]], dtype=torch.double)
    assert code_of(logits, uniform).tolist() == [[0, 1]]


def test_the_first_candidates_are_the_same_however_many_are_drawn(prior, text):
    many = sample(prior, text[:2], seeds(2, 20), tile=32)
    for few in (4, 17):
        assert torch.equal(sample(prior, text[:2], seeds(2, few), tile=32), many[:, :few])
    assert len({tuple(codes) for codes in many.flatten(0, 1).tolist()}) == 2 * 20


def test_prompts_beside_and_their_order_do_not_matter(prior, text):
    own = seeds(3, 5)
    together = sample(prior, text, own, tile=32)
    for order in ([2, 0, 1], [1], [0, 2]):
        assert torch.equal(sample(prior, text[order], own[order], tile=32), together[order])


@torch.no_grad()
def test_a_lanes_place_and_company_do_not_change_one_bit():
    """At sizes where libraries do choose between kernels."""
    tokens = TokenSpec(text_vocab=11, text_len=21, image_vocab=300, grid=4)
    prior = noisy(3, tokens, heads=6, head_dim=32, conv_kernel=5)
    texts = torch.randint(12, (8, 21), generator=torch.Generator().manual_seed(0))
    prompts = [Prefix(prior, caption, NONE) for caption in texts]
    codes = torch.randint(300, (8, LANE, 15), generator=torch.Generator().manual_seed(1))

    def logits_of_lane_3(order: list[int]) -> list[torch.Tensor]:
        tile = TileDecoder(prior, len(order), LANE, torch.float32)
        tile.load([prompts[i] for i in order])
        place = order.index(3)
        return [tile.step(codes[order, :, position])[place] for position in range(15)]

    before = logits_of_lane_3([0, 1, 2, 3])
    for order in ([3, 4, 5, 6], [7, 3, 1, 0], [2, 2, 3, 2]):
        for one, other in zip(before, logits_of_lane_3(order), strict=True):
            assert torch.equal(one, other)


def test_a_seed_belongs_to_run_prompt_and_candidate():
    every = {
        candidate_seed(seed, prompt, candidate)
        for seed in (0, 1, 11)
        for prompt in ("a", "1\na", "b")
        for candidate in range(12)
    }
    assert len(every) == 3 * 3 * 12
    assert all(0 <= seed < 2**63 for seed in every)
    assert candidate_seed(3, "a red circle", 5) == candidate_seed(3, "a red circle", 5)
    # written down, because every picture ever drawn depends on it
    assert candidate_seed(0, "a red circle", 0) == SEED
    assert uniforms(SEED, 2).tolist() == pytest.approx(UNIFORMS, abs=1e-12)


def test_another_prompt_or_seed_gives_another_picture(prior, text):
    own = seeds(1, 8)
    first, other = (sample(prior, text[i : i + 1], own, tile=16) for i in (0, 1))
    assert not torch.equal(first, other)
    assert not torch.equal(first, sample(prior, text[:1], own + 1, tile=16))


def test_cold_sampling_is_greedy_and_leaves_its_inputs_alone(prior, text):
    before, own = text.clone(), seeds(3, 2)
    codes = sample(prior, text, own, temperature=1e-4, tile=4)
    with torch.no_grad():
        for lane in range(3):
            greedy = prior(text[[lane]], codes[lane, :1])[1].argmax(-1)
            assert torch.equal(codes[lane, :1], greedy)
    assert torch.equal(text, before)
    assert torch.equal(own, seeds(3, 2))
    assert torch.equal(codes, sample(prior, text, own, top_k=1, tile=4))


@pytest.mark.parametrize("guidance", [0.0, 2.5])
@torch.no_grad()
def test_guided_draws_follow_the_formula_on_uncached_logits(prior, text, guidance):
    """Cold, so that each code is the likeliest of: no caption + guidance * (caption - none)."""
    prior = noisy(3)
    for parameter in prior.parameters():
        parameter.mul_(3)  # so that captions matter to the likeliest code
    prior.image_head.bias.zero_()
    cold = {"temperature": 1e-4, "tile": 2}
    codes = sample(prior, text, seeds(3, 1), guidance=guidance, **cold)[:, 0]
    with_it, without = (prior(t, codes)[1] for t in (text, torch.full_like(text, prior.pad)))
    assert torch.equal(codes, (without + guidance * (with_it - without)).argmax(-1))
    assert not torch.equal(codes, sample(prior, text, seeds(3, 1), **cold)[:, 0])


def test_guided_pictures_are_the_same_in_any_company(prior, text):
    own = seeds(3, 20)
    together = sample(prior, text, own, guidance=2.0, tile=32)
    for order in ([2, 0], [1]):
        alone = sample(prior, text[order], own[order, :5], guidance=2.0, tile=32)
        assert torch.equal(alone, together[order, :5])


def test_a_picture_that_begins_as_given_goes_on_as_it_would_have(prior, text):
    """The random numbers of a code are its own, however the codes before it came about."""
    own = seeds(3, 1)
    whole = sample(prior, text, own, tile=4)
    for count in (1, 6, 15):
        completed = sample(prior, text, own, tile=4, given=whole[:, 0, :count])
        assert torch.equal(completed, whole)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_completed_pictures_keep_what_is_given_in_any_company(prior, text, guidance):
    own, given = seeds(3, 20), random_codes(3, 6)
    how = {"tile": 32, "guidance": guidance}
    together = sample(prior, text, own, given=given, **how)
    assert torch.equal(together[:, :, :6], given[:, None].expand(-1, 20, -1))
    assert len({tuple(codes) for codes in together.flatten(0, 1).tolist()}) == 60
    for order in ([2, 0], [1]):
        alone = sample(prior, text[order], own[order, :5], given=given[order], **how)
        assert torch.equal(alone, together[order, :5])
    assert not torch.equal(together, sample(prior, text, own, given=given.flip(0), **how))


@torch.no_grad()
def test_in_bfloat16_logits_are_those_of_training_in_bfloat16(text):
    """As far from those in 32 bits as training's are, and no further."""
    prior = noisy(6)
    exact, image = prior.state_dict(), random_codes(3, 2, 16)
    plain = plain_logits(prior, text, image)
    with torch.autocast("cpu", torch.bfloat16):
        short = plain_logits(prior, text, image)
    exact = {name: weight.clone() for name, weight in exact.items()}
    Sampler(prior, tile=2, precision="bfloat16")
    heads = [name for name, weight in prior.state_dict().items() if weight.dtype == torch.float32]
    assert all(torch.equal(prior.state_dict()[name], exact[name]) for name in heads)
    with torch.autocast("cpu", torch.bfloat16):
        tile = TileDecoder(prior, 3, 2, torch.bfloat16)
        logits = [tile.load([Prefix(prior, caption, NONE) for caption in text])]
        logits += [tile.step(image[:, :, place]) for place in range(15)]
    assert {cache.keys.dtype for cache in tile.caches} == {torch.bfloat16}
    off = (torch.stack(logits, dim=2) - plain).abs().mean()
    assert 0 < off < 1.3 * (short - plain).abs().mean()


def test_in_bfloat16_pictures_are_the_same_in_any_company(text):
    sampler, own = Sampler(noisy(3), tile=32, precision="bfloat16"), seeds(3, 20)
    together = sampler.draw(text, own)
    for order in ([2, 0], [1]):
        assert torch.equal(sampler.draw(text[order], own[order, :5]), together[order, :5])


def test_a_sampler_draws_the_same_after_other_parameters(prior, text):
    sampler, own = Sampler(prior, tile=4), seeds(3, 2)
    before = sampler.draw(text, own)
    other = sampler.draw(
        text, own, SamplingParams(temperature=0.5, top_k=4, top_p=0.9, guidance=2.0)
    )
    assert not torch.equal(other, before)
    assert torch.equal(sampler.draw(text, own), before)
    assert torch.equal(
        sample(prior, text, own, temperature=0.5, top_k=4, top_p=0.9, guidance=2.0, tile=4), other
    )


COMPILED = """
import torch
from stages.models.kv_cache import CacheLayout
from stages.models.incremental_decoding import TileDecoder, run_block
from tests.stages.models.test_sampler import VARIANTS, cached_logits, noisy, random_codes

text, image = torch.tensor([[3, 1, 4, 11, 11]]), random_codes(1, 2, 16)
with torch.no_grad():
    for options in VARIANTS.values():
        torch.compiler.reset()
        prior = noisy(10, **options)  # more layers than may be compiled apart
        plain = cached_logits(prior, text, image)
        at, CacheLayout.at = CacheLayout.at, CacheLayout.at_unknown
        make = TileDecoder.__init__

        def compiled(tile, *sizes):
            make(tile, *sizes)
            tile.run_block = torch.compile(
                run_block, dynamic=False, fullgraph=True, backend="aot_eager"
            )

        TileDecoder.__init__ = compiled
        found = cached_logits(prior, text, image)
        TileDecoder.__init__, CacheLayout.at = make, at
        torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)
"""


def test_a_step_can_be_compiled_as_for_a_gpu():
    """As one graph, all but the kernels; in a process without type checks, which it cannot read."""
    environment = os.environ | {"JAXTYPING_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2_000:]


@pytest.fixture
def as_a_gpu(monkeypatch):
    """Steps that are always the same work."""
    monkeypatch.setattr(CacheLayout, "at", CacheLayout.at_unknown)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@torch.no_grad()
def test_a_step_that_looks_at_no_number_gives_the_logits_of_one_that_does(options, as_a_gpu, text):
    prior, image = noisy(3, **options), random_codes(3, 2, 16)
    plain = plain_logits(prior, text, image)
    torch.testing.assert_close(cached_logits(prior, text, image), plain, atol=1e-4, rtol=1e-4)


@pytest.fixture
def on_gpu(as_a_gpu):
    """Both in 32 bits, without shortened factors."""
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("width", [4, 16])  # too narrow for the kernel, and not
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@torch.no_grad()
def test_on_a_gpu_cached_logits_are_those_of_the_plain_forward_pass(options, width, on_gpu, text):
    prior, image = (
        noisy(3, head_dim=width, **options).to(on_gpu),
        random_codes(3, 16, 16).to(on_gpu),
    )
    for given in (0, 6):
        image[:, :, :given] = image[:, :1, :given]
        plain = plain_logits(prior, text.to(on_gpu), image)[:, :, given:]
        cached = cached_logits(prior, text.to(on_gpu), image, given)
        torch.testing.assert_close(cached, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("sampling", [SamplingParams(), SamplingParams(0.9, 7, 0.95, 2.0)])
def test_on_a_gpu_pictures_are_the_same_in_any_company(precision, sampling, on_gpu, text):
    """And nearly always the same with each step recorded as without."""
    prior, own = noisy(3, head_dim=16).to(on_gpu), seeds(3, 40)
    text, given = text.to(on_gpu), random_codes(3, 6).to(on_gpu)
    sampler = Sampler(prior, tile=32, precision=precision)
    for start in (given[:, :0], given):
        together = sampler.draw(text, own, sampling, start)
        for order in ([2, 0], [1]):
            alone = sampler.draw(text[order], own[order, :5], sampling, start[order])
            assert torch.equal(alone, together[order, :5])
        if precision == "float32":  # nearly: kernels that are compiled round otherwise
            again = Sampler(prior, tile=32, record=False).draw(text, own, sampling, start)
            assert (again == together).all(-1).float().mean() > 0.95


@pytest.mark.gpu
@torch.no_grad()
def test_on_a_gpu_nearly_all_codes_are_those_of_a_cpu(on_gpu, text):
    """Rounding differs, so a number close to the edge between two codes may fall beside it."""
    prior, own = noisy(3, head_dim=16), seeds(3, 40)
    on_cpu = sample(prior, text, own, tile=32)
    found = sample(prior.to(on_gpu), text.to(on_gpu), own, tile=32).cpu()
    assert (found == on_cpu).all(-1).float().mean() > 0.95
