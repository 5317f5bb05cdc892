"""The reranker against its formulas, and against how it is used."""

import math
import pickle

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from schemas.configs import ClipShape
from schemas.errors import ConfigError
from stages.models.bpe import train_bpe
from stages.models.clip import (
    MEAN,
    STD,
    Reranker,
    contrastive_nats,
    fresh_reranker,
    pretrained_reranker,
)
from tests.stages.published import save_clip

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


def test_the_loss_is_written_out_by_hand():
    image = torch.nn.functional.normalize(torch.randn(3, 5), dim=-1)
    text = torch.nn.functional.normalize(torch.randn(3, 5), dim=-1)
    by_hand = []
    for i in range(3):
        rows = [math.exp(7 * float(image[i] @ text[j])) for j in range(3)]
        columns = [math.exp(7 * float(image[j] @ text[i])) for j in range(3)]
        by_hand.append(-(math.log(rows[i] / sum(rows)) + math.log(columns[i] / sum(columns))) / 2)
    nats = contrastive_nats(image, text, torch.tensor(7.0))
    torch.testing.assert_close(nats, torch.tensor(by_hand))


@torch.no_grad()
def test_features_are_unit_vectors_and_the_scale_has_a_ceiling(reranker, pixels):
    image, text, scale = reranker(pixels, reranker.tokenize(CAPTIONS))
    for features in (image, text):
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(4))
    assert scale.item() == pytest.approx(1 / 0.07, rel=1e-3)
    reranker.clip.logit_scale.fill_(50)
    assert reranker(pixels, reranker.tokenize(CAPTIONS))[2].item() == 100
    reranker.clip.logit_scale.fill_(math.log(1 / 0.07))


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


@torch.no_grad()
def test_pixels_are_normalised_as_the_published_clips_expect(reranker, pixels):
    shown = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    tower = reranker.clip.vision_model(pixel_values=shown).pooler_output
    expected = torch.nn.functional.normalize(reranker.clip.visual_projection(tower), dim=-1)
    torch.testing.assert_close(reranker.image_features(pixels), expected)


@torch.no_grad()
def test_pictures_of_another_size_are_resized(reranker, pixels):
    large = pixels.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    similarity = (reranker.image_features(large) * reranker.image_features(pixels)).sum(-1)
    assert similarity.min() > 0.98


@torch.no_grad()
def test_pooling_is_that_of_the_library_for_a_config_saved_and_read_again(reranker, pixels):
    config = CLIPConfig.from_dict(reranker.clip.config.to_dict())
    again = Reranker(CLIPModel(config), reranker.tokenize).eval()
    again.load_state_dict(reranker.state_dict())
    torch.testing.assert_close(again.text_features(CAPTIONS), reranker.text_features(CAPTIONS))
    torch.testing.assert_close(again.image_features(pixels), reranker.image_features(pixels))


@torch.no_grad()
def test_a_published_clip_is_read_from_its_folder_with_its_own_tokenizer(tmp_path, pixels):
    save_clip(tmp_path)
    reranker = pretrained_reranker(str(tmp_path))
    ids = reranker.tokenize(["a red circle", "a blue square a red square a"])
    assert ids.tolist() == [[0, 2, 3, 4, 1, 1], [0, 2, 5, 6, 2, 1]]
    score = reranker.image_features(pixels) @ reranker.text_features(["a red circle"]).T
    assert score.abs().max() <= 1 + 1e-5


def test_a_folder_without_a_clip_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"clip.pretrained: wanted the hub name or folder"):
        pretrained_reranker(str(tmp_path))


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
