"""The fast paths against the dense masked reference: forward and backward, every mask."""

import math

import pytest
import torch

from schemas.settings import PriorShape, TokenSpec
from stages.models import sparse_attention
from stages.models.masks import SequenceLayout, make_mask, masked_attention
from stages.models.prior import Prior, prior_terms
from tests.stages.models.losses import prior_loss

NAMES = ("row", "column", "conv")
LAYOUTS = [
    SequenceLayout(*sizes) for sizes in ((1, 2, 1), (4, 3, 3), (7, 5, 3), (17, 12, 11), (9, 4, 11))
]
CPU = torch.device("cpu")


def inputs(layout, dtype=torch.float32, batch=2, heads=3, width=8):
    shape = (4, batch, heads, layout.slots, width)
    *tensors, gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    return [x.clone().requires_grad_() for x in tensors], gradient


def learned(attend, tensors, gradient):
    found = attend(*tensors)
    return found, torch.autograd.grad(found, tensors, gradient.to(found.dtype))


@pytest.fixture
def blocks(monkeypatch):
    """Compute in blocks however short the sequence is."""
    monkeypatch.setattr(sparse_attention, "SHORT", 0)
    sparse_attention.attention.cache_clear()
    yield
    sparse_attention.attention.cache_clear()


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_the_masked_reference(blocks, name, layout):
    tensors, gradient = inputs(layout)
    found, gradients = learned(sparse_attention.attention(name, layout, CPU), tensors, gradient)
    mask = make_mask(name, layout)
    wanted, wanted_gradients = learned(
        lambda q, k, v: masked_attention(q, k, v, mask), tensors, gradient
    )
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients, wanted_gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("words", [0, 1, 4, 6])
def test_a_whole_model_is_the_same_in_blocks_however_long_its_captions(words, monkeypatch):
    """Logits and the gradient of every weight, three layers deep, with pads after the words."""
    tokens = TokenSpec(text_vocab=11, text_len=6, image_vocab=7, grid=5)
    torch.manual_seed(0)
    prior = Prior(tokens, PriorShape(layers=3, heads=2, head_dim=4, conv_kernel=3))
    for weight in prior.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    text = torch.full((2, 6), prior.pad)
    text[:, :words] = torch.randint(11, (2, words))
    image = torch.randint(7, (2, 25))
    found = []
    for short in (10**6, 0):
        monkeypatch.setattr(sparse_attention, "SHORT", short)
        sparse_attention.attention.cache_clear()
        logits = prior(text, image)
        loss = prior_loss(prior_terms(prior, text, image))
        found.append((logits, torch.autograd.grad(loss, list(prior.parameters()))))
    sparse_attention.attention.cache_clear()
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_size_is_computed_in_blocks_and_is_the_reference(name):
    layout = SequenceLayout(257, 32, 11)
    tensors, gradient = inputs(layout, batch=1, heads=2, width=16)
    found, gradients = learned(sparse_attention.attention(name, layout, CPU), tensors, gradient)
    mask = make_mask(name, layout)
    wanted, wanted_gradients = learned(
        lambda q, k, v: masked_attention(q, k, v, mask), tensors, gradient
    )
    assert type(found.grad_fn).__name__ != type(wanted.grad_fn).__name__  # not the same kernel
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients, wanted_gradients, rtol=1e-4, atol=1e-4)


def test_heads_are_independent_of_how_many_are_computed_at_once(blocks, monkeypatch):
    layout = SequenceLayout(7, 5, 3)
    tensors, _ = inputs(layout)
    wanted = sparse_attention.attention("row", layout, CPU)(*tensors)
    for scores in (1, 400, 800):
        monkeypatch.setattr(sparse_attention, "SCORES", scores)
        torch.testing.assert_close(sparse_attention.attention("row", layout, CPU)(*tensors), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_in_16_bits_are_near_the_reference_in_32(blocks, name):
    layout = SequenceLayout(17, 12, 11)
    tensors, gradient = inputs(layout, torch.bfloat16)
    found, gradients = learned(sparse_attention.attention(name, layout, CPU), tensors, gradient)
    assert found.dtype == torch.bfloat16
    exact = [x.detach().float().requires_grad_() for x in tensors]
    mask = make_mask(name, layout)
    wanted, wanted_gradients = learned(
        lambda q, k, v: masked_attention(q, k, v, mask), exact, gradient.float()
    )
    torch.testing.assert_close(found.float(), wanted, rtol=0.03, atol=0.03)
    for ours, theirs in zip(gradients, wanted_gradients, strict=True):
        assert (ours.float() - theirs).norm() < 0.02 * theirs.norm()


def test_dense_attention_is_the_causal_mask(blocks):
    layout = SequenceLayout(4, 3, 3)
    tensors, _ = inputs(layout)
    found = sparse_attention.attention("causal", layout, CPU)(*tensors)
    mask = torch.ones(layout.slots, layout.slots, dtype=torch.bool).tril()
    assert torch.equal(make_mask("causal", layout), mask)
    torch.testing.assert_close(found, masked_attention(*tensors, mask))


@pytest.mark.parametrize(("name", "rows_back"), [("row", 1), ("column", 0), ("conv", 6)])
def test_a_window_reaches_no_further_back_than_its_mask(name, rows_back):
    """In the order in which it is computed: a column sees itself alone."""
    windows = sparse_attention.windows_of(name, SequenceLayout(257, 32, 11))
    assert windows.hidden.shape == (32, 32, 32 * (rows_back + 1))


def test_the_last_code_is_no_key_of_any_other():
    """It is a target only; its place in the grid is filled up, and must not be seen."""
    for name in NAMES:
        hidden = sparse_attention.windows_of(name, SequenceLayout(4, 3, 3)).hidden
        assert hidden[-1, :-1, -1].all()


@pytest.mark.parametrize("name", NAMES)
def test_flex_attention_sees_what_the_mask_allows(name):
    """Uncompiled, which a CPU can do, and forwards only."""
    from torch.nn.attention.flex_attention import flex_attention

    layout = SequenceLayout(17, 12, 11)
    tensors, _ = inputs(layout, width=16)
    q, k, v = (x.detach() for x in tensors)
    block_mask = sparse_attention.flex_mask(name, layout, CPU)
    attend = sparse_attention._transposing(
        name, layout, lambda q, k, v: flex_attention(q, k, v, block_mask=block_mask)
    )
    wanted = masked_attention(q, k, v, make_mask(name, layout))
    torch.testing.assert_close(attend(q, k, v), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_compiled_flex_attention_is_the_reference_on_a_gpu(name):
    layout, cuda = SequenceLayout(257, 32, 11), torch.device("cuda")
    tensors, gradient = inputs(layout, width=64)
    tensors = [x.detach().cuda().requires_grad_() for x in tensors]
    mask = make_mask(name, layout).cuda()
    found, gradients = learned(
        sparse_attention.attention(name, layout, cuda), tensors, gradient.cuda()
    )
    wanted, wanted_gradients = learned(
        lambda q, k, v: masked_attention(q, k, v, mask), tensors, gradient.cuda()
    )
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gradients, wanted_gradients, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("text", "grid"), [(256, 16), (256, 32)])
def test_the_work_grows_with_the_codes_not_with_their_square(text, grid):
    """Scores computed for each code: all of the text, and two rows."""
    hidden = sparse_attention.windows_of("row", SequenceLayout(1 + text, grid, 11)).hidden
    assert hidden.numel() == grid**2 * 2 * grid
    assert math.prod(hidden.shape) < grid**4 / 4
