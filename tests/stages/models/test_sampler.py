"""Sampling against the plain forward pass, the softmax, and the promise about seeds."""

import itertools

import pytest
import torch

from schemas.configs import PriorShape, TokenSpec
from schemas.errors import ConfigError
from stages.models.prior import Prior
from stages.models.sampler import (
    LANE,
    Prompt,
    Tile,
    candidate_seed,
    choose,
    sample,
    uniforms,
)
from tests.stages.models.test_prior import VARIANTS

TOKENS = TokenSpec(text_vocab=11, text_len=5, image_vocab=13, grid=4)

SEED, UNIFORMS = 4163147837928207018, [0.5206054981474657, 0.4447197299631057]


def noisy(layers: int, tokens: TokenSpec = TOKENS, **shape) -> Prior:
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


def seeds(prompts: int, candidates: int) -> torch.Tensor:
    return torch.tensor(
        [[candidate_seed(0, f"prompt {p}", c) for c in range(candidates)] for p in range(prompts)]
    )


@pytest.mark.parametrize(
    ("layers", "options"),
    [(layers, {}) for layers in (1, 3, 6)]  # conv; row, column, conv; and all of them twice
    + [(3, options) for options in VARIANTS.values()],
)
@torch.no_grad()
def test_cached_logits_are_those_of_the_plain_forward_pass(layers, options, text):
    prior = noisy(layers, **options)
    lanes, rows = len(text), 2
    image = torch.randint(13, (lanes, rows, 16), generator=torch.Generator().manual_seed(1))
    plain = torch.stack(
        [prior(text[[lane] * rows], image[lane])[1] for lane in range(lanes)]
    )  # (lane, row, position, code)
    tile = Tile(prior, [Prompt(prior, caption) for caption in text], rows)
    torch.testing.assert_close(tile.first_logits, plain[:, :, 0], atol=1e-4, rtol=1e-4)
    for position in range(15):
        logits = tile.step(image[:, :, position])
        torch.testing.assert_close(logits, plain[:, :, position + 1], atol=1e-4, rtol=1e-4)


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
    drawn = choose(
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
    drawn = choose(torch.zeros(1, 499, 7), uniform, temperature=1.0, top_k=top_k)
    assert len(drawn.unique()) == top_k


def test_the_largest_uniform_still_draws_a_possible_code():
    logits = torch.tensor([0.1, 3.0, -1e30, -1e30]).expand(1, 2, -1)
    uniform = torch.tensor([[0.0, 1 - 2**-53]], dtype=torch.double)
    assert choose(logits, uniform, temperature=1.0, top_k=0).tolist() == [[0, 1]]


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


@torch.inference_mode()
def test_a_lanes_place_and_company_do_not_change_one_bit():
    """At sizes where libraries do choose between kernels."""
    tokens = TokenSpec(text_vocab=11, text_len=21, image_vocab=300, grid=4)
    prior = noisy(3, tokens, heads=6, head_dim=32, conv_kernel=5)
    texts = torch.randint(12, (8, 21), generator=torch.Generator().manual_seed(0))
    prompts = [Prompt(prior, caption) for caption in texts]
    codes = torch.randint(300, (8, LANE, 15), generator=torch.Generator().manual_seed(1))

    def logits_of_lane_3(order: list[int]) -> list[torch.Tensor]:
        tile = Tile(prior, [prompts[i] for i in order], LANE)
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


def test_a_tile_that_is_no_whole_number_of_lanes_is_refused(prior, text):
    with pytest.raises(ConfigError, match=r"multiple of 16.*found 40; try 32"):
        sample(prior, text, seeds(3, 2), tile=40)


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
    told, untold = (prior(t, codes)[1] for t in (text, torch.full_like(text, prior.pad)))
    assert torch.equal(codes, (untold + guidance * (told - untold)).argmax(-1))
    assert not torch.equal(codes, sample(prior, text, seeds(3, 1), **cold)[:, 0])


def test_guided_pictures_are_the_same_in_any_company(prior, text):
    own = seeds(3, 20)
    together = sample(prior, text, own, guidance=2.0, tile=32)
    for order in ([2, 0], [1]):
        alone = sample(prior, text[order], own[order, :5], guidance=2.0, tile=32)
        assert torch.equal(alone, together[order, :5])
