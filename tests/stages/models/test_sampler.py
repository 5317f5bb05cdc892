"""Sampling against the plain forward pass, the softmax, and the promise about seeds."""

import itertools
import math

import pytest
import scipy.stats
import torch

from schemas.settings import TokenSpec
from stages.models.sampler import Sampler
from stages.models.sampling import SamplingParams, candidate_seed, sample_code, uniforms
from tests.stages.models.small_prior import TEXT, TOKENS, VARIANTS, noisy, random_codes

SEED, UNIFORMS = 4163147837928207018, [0.5206054981474657, 0.4447197299631057]
PRIOR = noisy(3)


def seeds(prompts: int, candidates: int):
    return torch.tensor(
        [[candidate_seed(0, f"prompt {p}", c) for c in range(candidates)] for p in range(prompts)]
    )


def code_of(logits, uniform, **sampling):
    return sample_code(logits, uniform, SamplingParams(**sampling))


def sample(prior, text, seeds, *, tile, given=None, **sampling):
    return Sampler(prior, tile=tile).draw(text, seeds, SamplingParams(**sampling), given).codes


@pytest.mark.parametrize(
    ("tokens", "text", "codes", "pictures"),
    [
        (TokenSpec(text_vocab=3, text_len=2, image_vocab=2, grid=2), [1, 3], 4, 4_000),
        (TOKENS.model_copy(update={"grid": 2}), [3, 1, 4, 11, 11], 2, 50_000),
    ],
    ids=["whole pictures", "two codes"],
)
def test_pictures_follow_the_models_joint_distribution(tokens, text, codes, pictures):
    """All there are of the first codes: chi-squared against the plain forward pass."""
    prior, text, vocab = noisy(2, tokens), torch.tensor([text]), tokens.image_vocab
    every = torch.tensor(list(itertools.product(range(vocab), repeat=codes)))
    with torch.no_grad():
        log_p = prior(text.expand(len(every), -1), every)[1][:, :codes].log_softmax(-1)
    expected = pictures * log_p.gather(-1, every[..., None]).double().sum(dim=(1, 2)).exp()
    assert expected.sum().item() == pytest.approx(pictures, rel=1e-5)
    assert expected.min() > 5  # or the statistic is distributed otherwise
    drawn = sample(prior, text, torch.arange(pictures)[None], tile=4_096)[0, :, :codes]
    index = (drawn * vocab ** torch.arange(codes).flip(0)).sum(-1)
    counts = torch.bincount(index, minlength=len(every))
    statistic = ((counts - expected) ** 2 / expected).sum().item()
    assert scipy.stats.chi2.sf(statistic, len(every) - 1) > 0.001


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


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [({"top_k": 1}, 1), ({"top_k": 3}, 3), ({"top_k": 7}, 7), ({"top_p": 1e-9}, 1)],
)
def test_of_codes_that_all_tie_exactly_as_many_are_kept(sampling, kept):
    uniform = torch.linspace(0, 1, 500, dtype=torch.double)[None, :-1]
    drawn = code_of(torch.zeros(1, 499, 7), uniform, **sampling)
    assert len(drawn.unique()) == kept


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


def test_the_largest_uniform_still_draws_a_possible_code():
    logits = torch.tensor([0.1, 3.0, -1e30, -1e30]).expand(1, 2, -1)
    uniform = torch.tensor([[0.0, 1 - 2**-53]], dtype=torch.double)
    assert code_of(logits, uniform).tolist() == [[0, 1]]


def require_no_company(sampler, own, sampling, given):
    """Draw all, and some of them beside others; return all."""
    text = TEXT.to(given.device)
    together = sampler.draw(text, own, sampling, given)
    for order, few in (([2, 0, 1], own.shape[1]), ([0, 2], 17), ([1], 4)):
        alone = sampler.draw(text[order], own[order, :few], sampling, given[order])
        for part, whole in zip(alone, together, strict=True):
            assert torch.equal(part, whole[order, :few])
    return together


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("count", [0, 6])
def test_pictures_keep_what_is_given_and_are_the_same_in_any_company(precision, guidance, count):
    sampler, given = Sampler(noisy(3), tile=32, precision=precision), random_codes(3, 6)[:, :count]
    drawn, _ = require_no_company(sampler, seeds(3, 20), SamplingParams(guidance=guidance), given)
    assert torch.equal(drawn[:, :, :count], given[:, None].expand(-1, 20, -1))
    assert len({tuple(codes) for codes in drawn.flatten(0, 1).tolist()}) == 60


PARAMETERS = {
    "as the paper": SamplingParams(),
    "sharper": SamplingParams(temperature=0.5, top_k=5, top_p=0.9),
    "guided": SamplingParams(guidance=2.5),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("sampling", PARAMETERS.values(), ids=PARAMETERS)
@pytest.mark.parametrize("count", [0, 6])
@torch.no_grad()
def test_the_log_likelihood_is_that_of_a_forward_pass_over_the_codes(name, sampling, count):
    """Of the prior itself, however codes are sampled from it; given codes are not counted."""
    prior, given = noisy(3, **VARIANTS[name]), random_codes(3, 6)[:, :count]
    codes, found = Sampler(prior, tile=16).draw(TEXT, seeds(3, 5), sampling, given)
    assert found.dtype == torch.float32
    for prompt in range(3):
        own = codes[prompt]
        _, logits = prior(TEXT[[prompt]].expand(5, -1), own)
        log_p = logits.double().log_softmax(-1).gather(-1, own[..., None])[..., 0]
        wanted = log_p[:, count:].sum(dim=1).float()
        torch.testing.assert_close(found[prompt], wanted, rtol=1e-5, atol=0)
    assert len(found.unique()) == 15


def test_a_seed_belongs_to_run_prompt_and_candidate():
    every = {
        candidate_seed(seed, prompt, candidate)
        for seed in (0, 1, 11)
        for prompt in ("a", "1\na", "b")
        for candidate in range(12)
    }
    assert len(every) == 3 * 3 * 12
    assert all(0 <= seed < 2**63 for seed in every)
    # written down, because every picture ever drawn depends on it
    assert candidate_seed(0, "a red circle", 0) == SEED
    assert uniforms(SEED, 2).tolist() == pytest.approx(UNIFORMS, abs=1e-12)


def test_another_prompt_or_seed_gives_another_picture():
    own = seeds(1, 8)
    first, other = (sample(PRIOR, TEXT[i : i + 1], own, tile=16) for i in (0, 1))
    assert not torch.equal(first, other)
    assert not torch.equal(first, sample(PRIOR, TEXT[:1], own + 1, tile=16))


def test_cold_sampling_is_greedy_and_leaves_its_inputs_alone():
    before, own = TEXT.clone(), seeds(3, 2)
    codes = sample(PRIOR, TEXT, own, temperature=1e-4, tile=4)
    with torch.no_grad():
        for lane in range(3):
            greedy = PRIOR(TEXT[[lane]], codes[lane, :1])[1].argmax(-1)
            assert torch.equal(codes[lane, :1], greedy)
    assert torch.equal(TEXT, before)
    assert torch.equal(own, seeds(3, 2))
    assert torch.equal(codes, sample(PRIOR, TEXT, own, top_k=1, tile=4))


@pytest.mark.parametrize("guidance", [0.0, 2.5])
@torch.no_grad()
def test_guided_draws_follow_the_formula_on_uncached_logits(guidance):
    """Cold, so that each code is the likeliest of: no caption + guidance * (caption - none)."""
    prior = noisy(3)
    for parameter in prior.parameters():
        parameter.mul_(3)  # so that captions matter to the likeliest code
    prior.image_head.bias.zero_()
    cold = {"temperature": 1e-4, "tile": 2}
    codes = sample(prior, TEXT, seeds(3, 1), guidance=guidance, **cold)[:, 0]
    with_it, without = (prior(t, codes)[1] for t in (TEXT, torch.full_like(TEXT, prior.pad)))
    assert torch.equal(codes, (without + guidance * (with_it - without)).argmax(-1))
    assert not torch.equal(codes, sample(prior, TEXT, seeds(3, 1), **cold)[:, 0])


def test_a_picture_that_begins_as_given_goes_on_as_it_would_have():
    """The random numbers of a code are its own, however the codes before it came about."""
    own = seeds(3, 1)
    whole = sample(PRIOR, TEXT, own, tile=4)
    for count in (1, 6, 15):
        completed = sample(PRIOR, TEXT, own, tile=4, given=whole[:, 0, :count])
        assert torch.equal(completed, whole)


def test_a_sampler_draws_the_same_after_other_parameters():
    sampler, own = Sampler(PRIOR, tile=4), seeds(3, 2)
    before = sampler.draw(TEXT, own).codes
    other = sampler.draw(
        TEXT, own, SamplingParams(temperature=0.5, top_k=4, top_p=0.9, guidance=2.0)
    ).codes
    assert not torch.equal(other, before)
    assert torch.equal(sampler.draw(TEXT, own).codes, before)
    assert torch.equal(
        sample(PRIOR, TEXT, own, temperature=0.5, top_k=4, top_p=0.9, guidance=2.0, tile=4), other
    )


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("sampling", [SamplingParams(), SamplingParams(0.9, 7, 0.95, 2.0)])
@pytest.mark.parametrize("count", [0, 6])
def test_on_a_gpu_pictures_are_the_same_in_any_company(precision, sampling, count, on_gpu):
    """And nearly always the same with each step recorded as without."""
    prior, own = noisy(3, head_dim=16).to(on_gpu), seeds(3, 40)
    sampler, given = Sampler(prior, tile=32, precision=precision), random_codes(3, 6)[:, :count]
    together, _ = require_no_company(sampler, own, sampling, given.to(on_gpu))
    if precision == "float32":  # nearly: kernels that are compiled round otherwise
        plain = Sampler(prior, tile=32, record=False)
        again = plain.draw(TEXT.to(on_gpu), own, sampling, given.to(on_gpu)).codes
        assert (again == together).all(-1).float().mean() > 0.95


@pytest.mark.gpu
@torch.no_grad()
def test_on_a_gpu_nearly_all_codes_are_those_of_a_cpu(on_gpu):
    """Rounding differs, so a number close to the edge between two codes may fall beside it."""
    prior, own = noisy(3, head_dim=16), seeds(3, 40)
    on_cpu = sample(prior, TEXT, own, tile=32)
    found = sample(prior.to(on_gpu), TEXT.to(on_gpu), own, tile=32).cpu()
    assert (found == on_cpu).all(-1).float().mean() > 0.95
