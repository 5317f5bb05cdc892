"""What a row costs, counted by hand and by torch."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipelines.options import resolve
from schemas.settings import ClipShape, DvaeShape, PriorShape, TokenSpec
from stages.models.bpe import train_bpe
from stages.models.clip import fresh_reranker
from stages.models.dvae import Dvae
from stages.models.flops import allowed_pairs, clip_flops, dvae_flops, prior_flops
from stages.models.masks import make_mask
from stages.models.on_meta import on_meta
from stages.models.prior import Prior

TOKENS = TokenSpec(text_vocab=10, text_len=3, image_vocab=7, grid=2)
SHAPE = PriorShape(layers=3, heads=2, head_dim=4, conv_kernel=3)


def test_the_pairs_of_a_tiny_prior_are_those_counted_with_a_pencil():
    # 4 text slots: 1 + 2 + 3 + 4 pairs; 3 codes see them all: 12. Among codes 0, 1, 2 of a 2 x 2
    # grid: row 1 + 2 + 3, for the last two steps back are in reach; column 1 + 1 + 2; conv 3 x 3:
    # steps 0, 1, 2, 3 back, so all: 1 + 2 + 3.
    text = 10 + 12
    assert allowed_pairs(TOKENS, SHAPE) == (text + 6) + (text + 4) + (text + 6)


def test_a_tiny_prior_costs_what_is_counted_with_a_pencil():
    d, slots = 8, 3 + 4
    blocks = 3 * slots * (d * 3 * d + d * d + d * 4 * d + 4 * d * d)
    heads = 3 * d * 11 + 4 * d * 7  # text slots score 10 ids and the pad, image slots 7 codes
    attention = 2 * d * (28 + 26 + 28)  # one product of q and k, one of weights and v
    assert prior_flops(TOKENS, SHAPE) == 2 * (blocks + heads + attention)


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_products_are_counted_as_torch_counts_them_and_pairs_as_the_model_masks_them(layers):
    tokens = TokenSpec(text_vocab=30, text_len=5, image_vocab=12, grid=4)
    shape = PriorShape(layers=layers, heads=2, head_dim=8, conv_kernel=3)
    prior = Prior(tokens, shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        prior(torch.zeros(1, 5, dtype=torch.long), torch.zeros(1, 16, dtype=torch.long))
    counts = counter.get_flop_counts()["Global"]
    products = sum(n for op, n in counts.items() if "mm" in str(op))
    pairs = sum(int(make_mask(name, prior.layout).sum()) for name in prior.mask_names)
    assert prior_flops(tokens, shape) == products + 4 * 16 * pairs


def test_a_row_of_the_papers_costs_two_operations_a_weight_and_slot_and_a_hundredth_for_attention():
    settings = resolve("paper")
    pairs, slots = allowed_pairs(settings.tokens, settings.prior), 1280
    width = settings.prior.width
    attention = 4 * width * pairs
    products = 2 * (12 * width**2 * 64 * slots + width * (256 * 16_385 + 1024 * 8_192))
    assert prior_flops(settings.tokens, settings.prior) == products + attention
    # a dense causal model has 64 x 1280 x 1281 / 2 pairs
    assert pairs / (64 * slots * (slots + 1) / 2) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("init", ["random", "patches"])
@pytest.mark.parametrize("patch", [4, 8, 16])
def test_the_convolutions_are_counted_as_torch_counts_them(patch, init):
    shape = DvaeShape(width=8, blocks=1, codebook_width=16, patch=patch, init=init)
    dvae, side = Dvae(shape, 32), 32
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        dvae(torch.rand(1, 3, side, side), 1.0)
    assert dvae_flops(dvae, side) == counter.get_total_flops()


def test_both_towers_of_a_clip_are_counted_as_torch_counts_them():
    shape = ClipShape(width=16, layers=2, heads=2, patch=4, projection=24, text_len=7)
    clip = fresh_reranker(shape, side=8, bpe=train_bpe(["a bee"], 256))
    clip.clip.set_attn_implementation("eager")  # products that the counter sees
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        clip(torch.rand(1, 3, 8, 8), torch.zeros(1, 7, dtype=torch.long))
    assert clip_flops(shape, 8) == counter.get_total_flops()


def test_models_on_no_device_have_all_weights_and_none_is_filled(monkeypatch):
    filled = []
    for name in ("normal_", "uniform_"):
        monkeypatch.setattr(torch.Tensor, name, lambda tensor, *_, **__: filled.append(tensor))
    with on_meta():
        prior, dvae = Prior(TOKENS, SHAPE), Dvae(DvaeShape(width=4, codebook_width=8), 16)
    assert filled == []
    assert all(weight.is_meta for model in (prior, dvae) for weight in model.parameters())
    with torch.device("meta"):
        Prior(TOKENS, SHAPE)
    assert filled != []
