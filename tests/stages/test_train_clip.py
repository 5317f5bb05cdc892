import numpy as np
import pytest
import torch
from transformers import CLIPImageProcessorPil, CLIPModel

from infra.store import open_folder
from schemas.settings import ClipSettings
from stages import shapes, train_clip, weights
from stages.data.loader import read_batches
from stages.models.clip import Reranker
from stages.models.clip_preprocessing import Preprocessing
from stages.pictures.tensors import to_tensor
from stages.train_clip import ClipTask
from stages.training.trainer import Trainer
from tests.stages.published import save_clip
from tests.stages.training.pairs import SIZES, bpe_of, clean_pairs, clean_row, inputs, tables
from tests.stages.training.toy import ALONE, SHORT, nodes, silent
from tests.stages.training.workers import learn, saved

LOOK = {"size": 20, "crop_size": 16, "image_mean": [0.3] * 3, "image_std": [0.4] * 3}


def settings(pretrained="", **fit):
    own = {"steps": 6, "clip_norm": 1.0, "save_every": 3, "validate_every": 3}
    return ClipSettings(
        width=16, layers=1, heads=2, patch=8, projection=8, text_len=14, text_vocab=300, side=16,
        pretrained=pretrained, **nodes(SHORT | own | fit),
    )  # fmt: skip


def task_of(root, cfg):
    return ClipTask(cfg, *tables(root), weights.load_bpe(bpe_of(root)))


def test_the_loss_is_both_cross_entropies_written_out(tmp_path):
    task = task_of(tmp_path, settings())
    batch, model = next(task.batches(0, ALONE)), task.build()
    mean = task.loss_sums(model, batch, 0)["contrast"] / task.loss_counts(batch)["contrast"]

    image, text, scale = model(batch["pixels"].permute(0, 3, 1, 2) / 255, batch["ids"])
    nats = []
    for i in range(8):
        to_text = torch.stack([scale * image[i] @ text[j] for j in range(8)]).log_softmax(0)
        to_image = torch.stack([scale * image[j] @ text[i] for j in range(8)]).log_softmax(0)
        nats.append(-(to_text[i] + to_image[i]).item() / 2)
    assert mean.item() == pytest.approx(np.mean(nats), rel=1e-4)


def test_pictures_keep_their_own_captions(tmp_path):
    """Also when one cannot be read."""
    task = task_of(tmp_path, settings())
    found = read_batches(task.train, task.columns, seed=0, batch_size=4)
    columns = next(found).columns()
    whole = task.prepare(columns)
    columns["image"][1] = b"no picture"
    left = task.prepare(columns)
    for name in ("pixels", "ids"):
        assert torch.equal(left[name], whole[name][[0, 2, 3]])


class Hot(ClipTask):
    """Starts with a scale far beyond its bound."""

    def build(self):
        reranker = super().build()
        torch.nn.init.constant_(reranker.clip.logit_scale, 10)
        return reranker


def test_updates_bring_the_scale_back_to_its_bound_and_it_goes_on_learning(tmp_path):
    """On one worker, and on two that share the weights."""
    whole, parts = settings(), settings(shard=True)
    task = task_of(tmp_path, whole)
    hot = Hot(whole, task.train, task.held_out, task.bpe)
    learn(1, (whole, hot, tmp_path / "one"))
    learn(2, (parts, hot, tmp_path / "two"))
    one, two = (saved(tmp_path / name)["model"]["clip.logit_scale"] for name in ("one", "two"))
    assert 90 < one.exp() < 100
    assert two.item() == pytest.approx(one.item(), rel=1e-5)


def test_it_learns_and_leaves_a_model_that_loads(tmp_path):
    task, out = task_of(tmp_path, settings()), open_folder(tmp_path / "out")
    health = Trainer(task, task.cfg, out, ALONE, silent).fit()
    reranker = weights.load_clip(out)
    with torch.no_grad():
        again = task.validate(reranker, 6).scalars
    assert again["r_precision"] == health["r_precision"]
    assert health["r_precision_chance"] < 0.5


def test_the_library_opens_what_was_trained_and_scores_alike(tmp_path):
    """Also pictures that are resized first, as its config says."""
    task = task_of(tmp_path, settings())
    Trainer(task, task.cfg, open_folder(tmp_path / "out"), ALONE, silent).fit()
    ours = weights.load_clip(open_folder(tmp_path / "out"))
    library = CLIPModel.from_pretrained(tmp_path / "out").eval()
    look = CLIPImageProcessorPil.from_pretrained(tmp_path / "out")
    captions = [clean_row(n)["caption"] for n in range(4)]
    for side, tolerance in ((16, 1e-6), (40, 5e-4)):
        pictures = [shapes.draw(shapes.scene(0, n), side) for n in range(4)]
        inputs = {"input_ids": ours.tokenize(captions), **look(pictures, return_tensors="pt")}
        with torch.no_grad():
            wanted = library(**inputs).logits_per_image / library.logit_scale.exp()
            found = ours.image_features(to_tensor(pictures)) @ ours.text_features(captions).T
        torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@pytest.fixture
def published(tmp_path):
    """A folder such as people download: a CLIP with its own tokenizer."""
    return save_clip(tmp_path / "published", preprocessing=LOOK)


def test_a_published_clip_is_copied_with_its_tokenizer_and_not_trained(tmp_path, published, caplog):
    from stages.models.published_clip import pretrained_reranker

    clean_pairs(tmp_path)
    out = open_folder(tmp_path / "out")
    caplog.set_level("INFO")
    result = train_clip.run(inputs(tmp_path), out, settings(str(published)))
    assert result.rows_out == 0
    assert result.health["validation_captions"] == SIZES["val"]
    assert 0 < result.health["truncated_captions"] <= SIZES["val"]
    cut = f"{result.health['truncated_captions']} of {SIZES['val']} validation captions are cut off"
    assert f"{cut} at CLIP's 6 tokens" in caplog.text
    copy, original = weights.load_clip(out), pretrained_reranker(str(published))
    assert (
        copy.preprocessing
        == original.preprocessing
        == Preprocessing.from_config(LOOK, 16, where="")
    )
    assert isinstance(copy, Reranker)
    captions = ["a red circle", "a blue square"]
    torch.testing.assert_close(copy.tokenize(captions), original.tokenize(captions))
    with torch.no_grad():
        torch.testing.assert_close(copy.text_features(captions), original.text_features(captions))
        pixels = torch.rand(2, 3, 16, 16)
        torch.testing.assert_close(copy.image_features(pixels), original.image_features(pixels))


def test_the_published_weights_are_an_outside_input(tmp_path, published):
    before = train_clip.outside(settings(str(published)))
    assert train_clip.outside(settings(str(published))) == before
    (published / "config.json").write_text("{}")
    assert train_clip.outside(settings(str(published))) != before
    assert train_clip.outside(settings()) == {}
    assert set(train_clip.outside(settings("someone/some-clip"))) == {"pretrained"}


@pytest.mark.ray
def test_the_stage_on_a_ray_worker(tmp_path, ray_cluster):
    clean_pairs(tmp_path)
    bpe_of(tmp_path)
    result = train_clip.run(inputs(tmp_path), open_folder(tmp_path / "out"), settings())
    assert result.rows_in == SIZES["train"]
    assert result.health["r_precision"] <= 1
    assert result.health["validation_captions"] == SIZES["val"]
    assert result.health["truncated_captions"] <= SIZES["val"]
