"""The prior against section 2.2 and appendix B.1 of the paper, written out."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from schemas.settings import PriorShape, TokenSpec
from stages.models.prior import Head, Prior, prior_terms
from tests.stages.models import small_prior
from tests.stages.models.losses import prior_loss
from tests.stages.models.small_prior import VARIANTS

TOKENS = TokenSpec(text_vocab=11, text_len=5, image_vocab=7, grid=3)
PAD = 11
fresh = partial(small_prior.fresh, tokens=TOKENS)
noisy = partial(small_prior.noisy, tokens=TOKENS)


@pytest.fixture(params=VARIANTS)
def prior(request) -> Prior:
    return noisy(**VARIANTS[request.param])


@pytest.fixture
def text() -> torch.Tensor:
    return torch.tensor([[3, 1, 4, PAD, PAD], [2, 7, 1, 8, 10]])


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randint(7, (2, 9), generator=torch.Generator().manual_seed(0))


def test_the_papers_model_has_12_billion_parameters_in_its_matrices():
    with torch.device("meta"):
        prior = Prior(TokenSpec(), PriorShape())
    matrices = [
        m.weight.numel()
        for m in prior.modules()
        if isinstance(m, nn.Linear) and not isinstance(m, Head)
    ]
    assert sum(matrices) == 12_092_178_432
    assert prior.layout.slots == 1_280


def test_a_fresh_model_scores_chance(text, image):
    terms = prior_terms(fresh(), text, image)
    assert terms.text.item() / 10 == pytest.approx(math.log(12))  # 11 words and the pad
    assert terms.image.item() / 18 == pytest.approx(math.log(7))


def test_the_loss_is_the_paper_written_out_by_hand(prior, text, image):
    """Token by token: each is scored by a pass that is only given the tokens before it."""
    nats = {"text": [], "image": []}
    for row in range(2):
        words, codes = text[row : row + 1], image[row : row + 1]
        for position in range(5):
            hidden = words.clone()
            hidden[:, position:] = 0  # what is not yet known cannot matter
            log_p = prior(hidden, codes[:, :0])[0][0, position].log_softmax(-1)
            nats["text"].append(-log_p[words[0, position]].item())
        for position in range(9):
            log_p = prior(words, codes[:, :position])[1][0, position].log_softmax(-1)
            nats["image"].append(-log_p[codes[0, position]].item())
    terms = prior_terms(prior, text, image)
    mean = {kind: sum(values) / len(values) for kind, values in nats.items()}
    expected = mean["text"] / 8 + mean["image"] * 7 / 8
    assert prior_loss(terms).item() == pytest.approx(expected, rel=1e-5)
    assert (terms.text_tokens, terms.image_tokens) == (10, 18)
    assert terms.text.item() == pytest.approx(sum(nats["text"]), rel=1e-5)


def test_every_logit_learns_from_its_own_target(prior, text, image):
    """No kind of token is trained as the other: both heads get a gradient at every position."""
    for logits in prior(text, image):
        assert logits.shape[1] in (5, 9)
    text_logits, image_logits = (logits.detach().requires_grad_() for logits in prior(text, image))
    terms = prior_terms(_Constant(text_logits, image_logits), text, image)
    prior_loss(terms).backward()
    assert (text_logits.grad.abs().sum(-1) > 0).all()
    assert (image_logits.grad.abs().sum(-1) > 0).all()
    # cross entropy pulls exactly the target up
    assert (text_logits.grad.argmin(-1) == text).all()
    assert (image_logits.grad.argmin(-1) == image).all()


class _Constant(nn.Module):
    """Stands where a distributed wrapper would: gives these logits for any input."""

    def __init__(self, *logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, text, image):
        return self.logits


@torch.no_grad()
def test_no_logit_depends_on_a_later_token(prior, text, image):
    words, codes = prior(text, image)
    for position in range(5):
        changed = text.clone()
        changed[:, position:] = (changed[:, position:] + 1) % 11
        later_words, later_codes = prior(changed, image)
        torch.testing.assert_close(later_words[:, : position + 1], words[:, : position + 1])
        assert not torch.allclose(later_codes[:, 0], codes[:, 0])  # all text matters to images
    for position in range(9):
        changed = image.clone()
        changed[:, position:] = (changed[:, position:] + 1) % 7
        later_words, later_codes = prior(text, changed)
        torch.testing.assert_close(later_words, words)
        torch.testing.assert_close(later_codes[:, : position + 1], codes[:, : position + 1])


@torch.no_grad()
def test_a_prefix_of_codes_gives_the_same_logits_as_all_of_them(prior, text, image):
    whole = prior(text, image)[1]
    for known in range(10):
        part = prior(text, image[:, :known])[1]
        assert part.shape[1] == min(known + 1, 9)
        torch.testing.assert_close(part, whole[:, : part.shape[1]])


@torch.no_grad()
def test_one_layer_looks_back_exactly_as_far_as_its_mask(image):
    """A single layer (conv 3 x 3 on a 3 x 3 grid): change one code, see which logits move."""
    prior = noisy(layers=1)
    text = torch.zeros(1, 5, dtype=torch.long)
    before = prior(text, image[:1])[1]
    for key in range(8):
        changed = image[:1].clone()
        changed[:, key] = (changed[:, key] + 1) % 7
        moved = (prior(text, changed)[1] - before)[0].abs().amax(-1) > 1e-6
        queries = {
            q for q in range(8) if q - key in (0, 1, 2, 3, 4)
        }  # itself, left, and three above
        assert {p - 1 for p in moved.nonzero().flatten().tolist()} == queries


@torch.no_grad()
def test_company_in_the_batch_does_not_matter(prior, text, image):
    both = prior(text, image)
    for row in range(2):
        alone = prior(text[row : row + 1], image[row : row + 1])
        for together, single in zip(both, alone, strict=True):
            torch.testing.assert_close(together[row : row + 1], single)


@torch.no_grad()
def test_a_pad_has_an_embedding_of_its_own_at_each_position():
    """Section 2.2: where no token is, the position decides, and no real token looks like it."""
    prior = noisy()
    slots = prior.embed_text(torch.full((1, 5), PAD))[0, 1:]
    for position in range(5):
        expected = prior.text_pad.weight[position] + prior.text_position.weight[position]
        torch.testing.assert_close(slots[position], expected)
    for word in range(11):
        assert not torch.allclose(prior.embed_text(torch.full((1, 5), word))[0, 1:], slots)


@torch.no_grad()
def test_an_image_slot_is_its_token_plus_row_plus_column(image):
    prior = noisy()
    slots = prior.embed_image(image, torch.arange(9))
    for p in range(9):
        expected = (
            prior.image_token.weight[image[:, p]]
            + prior.image_row.weight[p // 3]
            + prior.image_column.weight[p % 3]
        )
        torch.testing.assert_close(slots[:, p], expected)
    torch.testing.assert_close(prior.embed_image(image[:, 4:5], torch.tensor([4])), slots[:, 4:5])


def test_logits_and_residual_stream_are_in_32_bits_under_autocast(prior, text, image):
    with torch.autocast("cpu", torch.bfloat16):
        words, codes = prior(text, image)
    assert (words.dtype, codes.dtype) == (torch.float32, torch.float32)


def test_fresh_weights_keep_the_scale_of_what_they_read():
    torch.manual_seed(0)
    prior = Prior(
        TokenSpec(text_vocab=300, text_len=64, image_vocab=300, grid=64),
        PriorShape(layers=2, heads=4, head_dim=32, conv_kernel=3),
    )
    block = prior.blocks[0]
    for weight, std in [
        (prior.text_token.weight, 0.5),
        (prior.image_row.weight, 0.5),
        (block.attention.qkv.weight, 1 / math.sqrt(128)),
        (block.mlp.out.weight, 1 / math.sqrt(512) / math.sqrt(2 * 2)),
        (block.attention.out.weight, 1 / math.sqrt(128) / math.sqrt(2 * 2)),
    ]:
        assert weight.std().item() == pytest.approx(std, rel=0.05)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_it_memorises_one_batch(text, image, options):
    torch.manual_seed(0)
    prior = fresh(layers=2, **options)
    optimizer = torch.optim.AdamW(prior.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        prior_loss(prior_terms(prior, text, image)).backward()
        optimizer.step()
    codes = prior(text, image)[1].argmax(-1)
    assert (codes == image).float().mean() > 0.95


def test_a_llama_block_has_the_papers_number_of_weights_in_its_matrices():
    for options in ({}, {"block": "llama"}):
        shape = PriorShape(layers=1, heads=6, head_dim=8, **options)
        block = Prior(TOKENS, shape).blocks[0]
        assert sum(w.numel() for w in block.parameters() if w.ndim == 2) == 12 * 48**2


@torch.no_grad()
def test_queries_and_keys_have_one_length_with_qk_norm(text, image):
    prior = noisy(qk_norm=True)
    lengths = []

    def look(q, k, v):
        gains = prior.blocks[0].attention.q_norm.weight, prior.blocks[0].attention.k_norm.weight
        lengths.extend((x / gain).square().mean(-1) for x, gain in zip((q, k), gains, strict=True))
        return v

    prior.blocks[0](prior.embed_text(text), look)
    for length in lengths:
        torch.testing.assert_close(length, torch.ones_like(length), rtol=1e-3, atol=1e-3)


def test_rotary_positions_replace_all_learned_ones_but_the_pads():
    names = {name for name, _ in fresh(positions="rotary").named_parameters()}
    learned = {name for name, _ in fresh().named_parameters()}
    assert learned - names == {"text_position.weight", "image_row.weight", "image_column.weight"}


def test_it_learns_a_batch_by_heart_down_to_what_the_captions_leave_open():
    """Pictures without a doubt; text down to the entropy of which caption of the batch it is."""
    torch.manual_seed(0)
    tokens = TokenSpec(text_vocab=40, text_len=6, image_vocab=32, grid=4)
    prior = Prior(tokens, PriorShape(layers=3, heads=4, head_dim=8, conv_kernel=3))
    text, image = torch.randint(40, (8, 6)), torch.randint(32, (8, 16))
    text[:, 0] = torch.tensor([5, 5, 5, 5, 9, 9, 9, 17])  # all later tokens tell captions apart
    shares = torch.tensor([4, 3, 1]) / 8
    first = -(shares * shares.log()).sum()
    second = (4 * math.log(4) + 3 * math.log(3)) / 8
    optimizer = torch.optim.AdamW(prior.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=400)
    for _ in range(400):
        optimizer.zero_grad()
        terms = prior_terms(prior, text, image)
        prior_loss(terms).backward()
        optimizer.step()
        scheduler.step()
    assert len({tuple(row) for row in text[:, :2].tolist()}) == 8
    assert terms.image.item() / 128 < 0.01
    assert terms.text.item() / 8 == pytest.approx(first.item() + second, rel=0.02)


@pytest.mark.gpu
def test_a_gpu_says_what_a_cpu_says(prior):
    """Twelve classes of text: no multiple of what GPUs like."""
    text, image = torch.randint(TOKENS.text_vocab + 1, (3, 5)), torch.randint(7, (3, 9))
    wanted = prior_loss(prior_terms(prior, text, image))
    wanted.backward()
    gradients = [weight.grad.clone() for weight in prior.parameters()]
    prior.zero_grad()
    there = prior.cuda()
    found = prior_loss(prior_terms(there, text.cuda(), image.cuda()))
    found.backward()
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-4)
    for weight, gradient in zip(there.parameters(), gradients, strict=True):
        torch.testing.assert_close(weight.grad.cpu(), gradient, rtol=1e-3, atol=1e-4)
