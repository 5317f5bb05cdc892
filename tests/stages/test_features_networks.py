"""Networks are opened from files, named with their hash, and refused where a part is missing."""

import hashlib
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants
from transformers import Dinov2Config, Dinov2Model

from infra.store import Store
from schemas.artifacts import CLIP
from schemas.errors import ConfigError
from stages.data.digests import sha256_of
from stages.features import BATCH
from stages.features.networks import clip_of_run, open_network
from stages.models.published_clip import pretrained_reranker
from stages.pictures.tensors import to_tensor
from stages.weights import load_clip
from tests import tiny_run
from tests.stages.published import save_clip
from tests.stages.test_features import weights

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def pictures(count, side=32, width=None):
    shape = (count, side, width or side, 3)
    return list(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def save_dino(folder, preprocessing=None):
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(folder)
    if preprocessing is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def test_inception_from_a_file_has_its_hash_and_its_resize(tmp_path):
    path = tmp_path / "pt_inception.pth"
    torch.save(weights(), path)
    found = open_network(str(path), "clean")
    assert found.network.name == "inception-v3-fid"
    assert found.network.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.resize.method, found.resize.antialias, found.resize.side) == (
        "bicubic",
        True,
        299,
    )
    seen = found.see(pictures(1))
    assert seen.features.shape == (1, 2_048)
    assert seen.features.dtype == np.float32
    assert seen.probabilities.shape == (1, 1_008)

    safe = tmp_path / "inception.safetensors"
    safetensors.torch.save_file(weights(), safe)
    other = open_network(str(safe), "legacy_tensorflow")
    assert (other.resize.method, other.resize.antialias) == ("bilinear", False)
    assert other.convention != open_network(str(safe), "legacy_pytorch").convention


def test_a_clip_sees_as_the_reranker_does_and_reads_captions(tmp_path):
    save_clip(tmp_path)
    found, reranker = open_network(str(tmp_path), "clean"), pretrained_reranker(str(tmp_path))
    some = pictures(BATCH + 3)
    with torch.no_grad():
        wanted = reranker.image_features(to_tensor(some)).numpy()
        texts = reranker.text_features(["a red circle", "a blue square"]).numpy()
    np.testing.assert_allclose(found.see(some).features, wanted, atol=1e-5)
    np.testing.assert_allclose(found.texts(["a red circle", "a blue square"]), texts, atol=1e-6)
    weights_of = (tmp_path / "model.safetensors").read_bytes()
    assert found.network.sha256 == hashlib.sha256(weights_of).hexdigest()
    assert found.network.name == f"clip:{tmp_path.name}"
    assert found.see(some).probabilities is None


def test_a_clip_takes_the_centre_of_a_picture_that_is_no_square(tmp_path):
    save_clip(tmp_path)
    found = open_network(str(tmp_path), "clean")
    (wide,) = pictures(1, 32, 50)
    np.testing.assert_array_equal(found.see([wide]).features, found.see([wide[:, 9:41]]).features)


def test_the_runs_own_clip_sees_as_it_does_in_the_run(tmp_path):
    tiny_run.build(tmp_path)
    folder = Store(str(tmp_path)).newest(CLIP)
    some = pictures(2)
    with torch.no_grad():
        wanted = load_clip(folder).image_features(to_tensor(some)).numpy()
    found = clip_of_run(folder)
    np.testing.assert_allclose(found.see(some).features, wanted, atol=1e-5)
    data = folder.open("model.safetensors").read()
    assert found.network.sha256 == hashlib.sha256(data).hexdigest()


def test_a_dino_gives_its_class_token_of_normalised_pictures(tmp_path):
    save_dino(tmp_path)
    found = open_network(str(tmp_path), "clean")
    (picture,) = pictures(1, 28)  # of the input's side, so that nothing is resized
    mean, std = (torch.tensor(IMAGENET[name])[:, None, None] for name in ("mean", "std"))
    model = Dinov2Model.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        wanted = model((to_tensor([picture]) - mean) / std).last_hidden_state[:, 0].numpy()
    np.testing.assert_allclose(found.see([picture]).features, wanted, atol=1e-5)
    assert (found.resize.method, found.resize.antialias, found.resize.side) == ("bicubic", True, 28)


def test_a_dino_is_resized_and_normalised_as_its_file_says(tmp_path):
    plain = save_dino(tmp_path / "plain")
    told = {"crop_size": {"height": 42, "width": 42}, "image_mean": [0, 0, 0], "image_std": [1] * 3}
    other = save_dino(tmp_path / "told", told)
    assert open_network(str(other), "clean").resize.side == 42
    (picture,) = pictures(1, 42)
    model = Dinov2Model.from_pretrained(plain).eval()
    with torch.no_grad():
        wanted = model(to_tensor([picture])).last_hidden_state[:, 0].numpy()
    found = open_network(str(other), "clean").see([picture]).features
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_what_is_no_network_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    for address, found in ((tmp_path, "a model of type bert"), (tmp_path / "none", "nothing")):
        with pytest.raises(ConfigError, match=f"--features: wanted .*found {found}"):
            open_network(str(address), "clean")
    with pytest.raises(ConfigError, match=r"^evaluate\.features: wanted"):
        open_network(str(tmp_path), "clean", setting="evaluate.features")


def test_a_dino_with_a_weight_missing_is_refused(tmp_path):
    save_dino(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    del tensors["layernorm.weight"]
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"1 weights fewer than .*, layernorm.weight among them"):
        open_network(str(tmp_path), "clean")


def test_a_name_of_the_hub_is_what_its_cache_has(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--someone--tiny-clip/snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_clip(snapshot)
    (tmp_path / "models--someone--tiny-clip/refs").mkdir()
    (tmp_path / "models--someone--tiny-clip/refs/main").write_text("0" * 40)
    found = open_network("someone/tiny-clip", "clean")
    assert found.network.name == "clip:someone/tiny-clip"
    assert found.network.sha256 == sha256_of(str(snapshot / "model.safetensors"))
    assert found.see(pictures(1)).features.shape == (1, 512)
    with pytest.raises(ConfigError, match=r"found no 'someone/other' here .*; mend"):
        open_network("someone/other", "clean")
