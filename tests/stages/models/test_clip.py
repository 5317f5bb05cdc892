"""The reranker against its formulas, and against how it is used."""

import pickle

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from schemas.settings import ClipShape
from stages.models.bpe import train_bpe
from stages.models.clip import Reranker, contrastive_nats, fresh_reranker
from stages.models.clip_preprocessing import MEAN, STD

CAPTIONS = ["a red circle", "a blue square", "a green star above a red square", "grass"]
SHAPE = ClipShape(width=16, layers=2, heads=2, patch=8, projection=8, text_len=8)


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    torch.manual_seed(0)
    bpe = train_bpe([c for c in CAPTIONS for _ in range(3)], 300)
    return fresh_reranker(SHAPE, side=32, bpe=bpe).eval()


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_features_are_unit_vectors_and_the_temperature_starts_at_7_percent(reranker, pixels):
    image, text, scale = reranker(pixels, reranker.tokenize(CAPTIONS))
    for features in (image, text):
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(4))
    assert scale.item() == pytest.approx(1 / 0.07, rel=1e-3)


def test_scores_are_those_of_the_library(reranker, pixels):
    """Its logits over its scale, to a few units in the last place of a float32."""
    inputs = {"pixel_values": normalised(pixels), "input_ids": reranker.tokenize(CAPTIONS)}
    with torch.no_grad():
        wanted = reranker.clip(**inputs).logits_per_image / reranker.clip.logit_scale.exp()
        found = reranker.image_features(pixels) @ reranker.text_features(CAPTIONS).T
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_the_loss_and_its_gradients_are_those_of_the_library(reranker, pixels):
    """Its loss is the mean of both directions over the batch, as ours."""
    inputs = {"pixel_values": normalised(pixels), "input_ids": reranker.tokenize(CAPTIONS)}
    weights = list(reranker.clip.parameters())
    wanted = reranker.clip(**inputs, return_loss=True).loss
    found = contrastive_nats(*reranker(pixels, inputs["input_ids"])).mean()
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    for one, other in zip(
        torch.autograd.grad(found, weights), torch.autograd.grad(wanted, weights), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_scale_beyond_its_bound_comes_back_and_still_learns(reranker, pixels):
    """Clamped on its way it would have no gradient, and stay where it is for ever."""
    again = pickle.loads(pickle.dumps(reranker))
    scale = again.clip.logit_scale
    with torch.no_grad():
        scale.fill_(7)
    again.clamp_scale()
    assert scale.exp().item() == pytest.approx(100, rel=1e-6)
    contrastive_nats(*again(pixels, again.tokenize(CAPTIONS))).mean().backward()
    assert scale.grad.abs() > 1e-3  # pairs that do not fit yet: they ask for less of it
    below = reranker.clip.logit_scale.item()
    reranker.clamp_scale()
    assert reranker.clip.logit_scale.item() == below


@torch.no_grad()
def test_what_follows_the_end_of_a_caption_does_not_matter(reranker):
    """A short caption scores the same beside a long one as alone, and pads are not averaged in."""
    together = reranker.text_features(CAPTIONS)
    for i, caption in enumerate(CAPTIONS):
        torch.testing.assert_close(reranker.text_features([caption])[0], together[i])
    ids = reranker.tokenize(["a red circle"])
    after_the_end = ids.clone()
    after_the_end[:, 6:] = 5
    torch.testing.assert_close(
        reranker.features_of_ids(after_the_end), reranker.features_of_ids(ids)
    )
    words = ids.clone()
    words[:, 1] = 5
    assert not torch.allclose(reranker.features_of_ids(words), reranker.features_of_ids(ids))


def test_long_captions_are_cut_off_and_every_row_has_start_and_end(reranker):
    rows = reranker.tokenize(["", "grass", "x" * 500])
    assert rows.shape == (3, 8)
    start, end = 300, 301
    assert rows[:, 0].tolist() == [start] * 3
    assert [(row == end).int().argmax().item() for row in rows] == [2, 2, 7]
    assert ((rows != start).sum(1) == 7).all()
    assert reranker.text_features(["x" * 500]).shape == (1, 8)


def test_a_caption_is_truncated_when_its_ids_are_more_than_fit_between_start_and_end(reranker):
    for letters in range(12):
        caption = "q" * letters  # no two of them were ever seen together: a byte is an id
        ids = reranker.tokenize.bpe.encode(caption)
        read = reranker.tokenize([caption])[0]
        lost = ids != read[1 : 1 + len(ids)].tolist()
        assert reranker.truncates(caption) == lost, letters
    assert not reranker.truncates("qqqqq")
    assert reranker.truncates("qqqqqqq")


def normalised(pixels):
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


@torch.no_grad()
def test_pictures_of_another_size_are_resized(reranker, pixels):
    large = pixels.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    similarity = (reranker.image_features(large) * reranker.image_features(pixels)).sum(-1)
    assert similarity.min() > 0.98


@torch.no_grad()
def test_pooling_is_that_of_the_library_for_a_config_saved_and_read_again(reranker, pixels):
    config = CLIPConfig.from_dict(reranker.clip.config.to_dict())
    again = Reranker(CLIPModel(config), reranker.tokenize, reranker.preprocessing).eval()
    again.load_state_dict(reranker.state_dict())
    torch.testing.assert_close(again.text_features(CAPTIONS), reranker.text_features(CAPTIONS))
    torch.testing.assert_close(again.image_features(pixels), reranker.image_features(pixels))


def test_a_reranker_can_be_sent_to_another_process(reranker, pixels):
    again = pickle.loads(pickle.dumps(reranker))
    torch.testing.assert_close(again.text_features(CAPTIONS), reranker.text_features(CAPTIONS))


def test_it_learns_which_caption_belongs_to_which_picture(pixels):
    torch.manual_seed(0)
    bpe = train_bpe([c for c in CAPTIONS for _ in range(3)], 300)
    reranker = fresh_reranker(SHAPE, side=32, bpe=bpe)
    optimizer = torch.optim.AdamW(reranker.parameters(), lr=3e-3)
    ids = reranker.tokenize(CAPTIONS)
    start = contrastive_nats(*reranker(pixels, ids)).mean().item()
    for _ in range(40):
        optimizer.zero_grad()
        contrastive_nats(*reranker(pixels, ids)).mean().backward()
        optimizer.step()
    end = contrastive_nats(*reranker(pixels, ids)).mean().item()
    assert end < 0.1 < 1 < start
