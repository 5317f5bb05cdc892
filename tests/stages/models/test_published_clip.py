"""A published CLIP as we open it, against the transformers library's own classes."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    SiglipConfig,
    SiglipModel,
)

from schemas.errors import ConfigError
from stages.models.clip_preprocessing import MEAN, STD, Preprocessing
from stages.models.published_clip import pretrained_reranker
from stages.pictures.tensors import to_tensor
from tests.stages.published import save_clip

CAPTIONS = ["a red circle", "a blue square", "a blue square a red square a red circle"]
OLD = {  # as the first CLIPs on the hub have it, with numbers that are nobody's
    "feature_extractor_type": "CLIPFeatureExtractor", "do_resize": True, "size": 40,
    "do_center_crop": True, "crop_size": 32, "do_normalize": True, "resample": 3,
    "image_mean": [0.1, 0.4, 0.7], "image_std": [0.2, 0.5, 0.9],
}  # fmt: skip
NEW = {
    "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32},
    "crop_size": {"height": 32, "width": 32}, "resample": 2, "rescale_factor": 1 / 127.5,
    "image_mean": [1.0, 1.0, 1.0], "image_std": [1.0, 1.0, 1.0],
}  # fmt: skip
STRETCHED = {"size": {"height": 32, "width": 32}, "do_center_crop": False}


def drawn(side, number=0):
    """Noise, whose edges a bicubic filter overshoots, beside a smooth slope."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    pixels[:, : side // 2] = np.linspace(0, 255, side, dtype=np.uint8)[:, None, None]
    return pixels


@pytest.mark.parametrize("preprocessing", [None, OLD, NEW, STRETCHED], ids=str)
@pytest.mark.parametrize("side", [32, 24, 96, 100])
def test_scores_are_those_of_the_librarys_own_classes(tmp_path, preprocessing, side):
    """The worst seen: 1e-8 where nothing is resized; else 2e-4, 1e-5 in most cases.

    Pillow's filters have fixed-point weights, so some levels are rounded the other way; this tower
    is eight numbers wide, in which one level of one pixel counts for more than in a real one.
    """
    torch.manual_seed(0)
    save_clip(tmp_path, side=32, preprocessing=preprocessing)
    pictures = [drawn(side, number) for number in range(4)]
    ours = pretrained_reranker(str(tmp_path))
    with torch.no_grad():
        found = ours.image_features(to_tensor(pictures)) @ ours.text_features(CAPTIONS).T

    model = CLIPModel.from_pretrained(tmp_path).eval()
    image = (
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
        if preprocessing is None
        else CLIPImageProcessorPil.from_pretrained(tmp_path)
    )
    processor = CLIPProcessor(image, AutoTokenizer.from_pretrained(tmp_path))
    inputs = processor(
        text=CAPTIONS, images=pictures, return_tensors="pt", padding=True, truncation=True,
        max_length=6,
    )  # fmt: skip
    inputs.pop("token_type_ids", None)  # CLIP has none; a tokenizer of another kind may
    with torch.no_grad():
        wanted = model(**inputs).logits_per_image / model.logit_scale.exp()
    same_size = ours.preprocessing.resized == side
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6 if same_size else 5e-4)


@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize(("side", "resized"), [(96, 224), (96, 336), (64, 224), (256, 224)])
def test_resizing_is_pillows_to_a_level_or_two(side, resized, resample):
    """Seen: one level, in under 1 % of pixels; two where 96 becomes 336, in 10 % (bilinear)."""
    from PIL import Image

    pixels = drawn(side)
    preprocessing = Preprocessing(resized, resized, resample)
    levels = preprocessing.resize(to_tensor([pixels]))[0].permute(1, 2, 0) * 255
    wanted = np.asarray(Image.fromarray(pixels).resize((resized, resized), resample))
    difference = (levels - torch.tensor(wanted)).abs()
    assert difference.max() <= 2 + 1e-3
    assert (difference > 0.5).float().mean() < 0.15
    assert (levels - levels.round()).abs().max() < 1e-3


def test_a_picture_of_the_towers_size_stays_as_it_is():
    pixels = torch.rand(2, 3, 32, 32)
    assert torch.equal(Preprocessing.plain(32).resize(pixels), pixels)


def test_what_is_said_reads_back_and_the_library_reads_the_same(tmp_path):
    read = Preprocessing.from_config(OLD, 32, where="here")
    assert Preprocessing.from_config(read.to_config(), 32, where="here") == read
    assert (read.resized, read.side, read.mean) == (40, 32, (0.1, 0.4, 0.7))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(read.to_config()))
    (again,) = CLIPImageProcessorPil.from_pretrained(tmp_path)(drawn(50))["pixel_values"]
    (first,) = CLIPImageProcessorPil(**{k: v for k, v in OLD.items() if k[:7] != "feature"})(
        drawn(50)
    )["pixel_values"]
    np.testing.assert_allclose(again, first, atol=1e-6)
    plain = CLIPImageProcessorPil()
    assert tuple(plain.image_mean) == MEAN
    assert tuple(plain.image_std) == STD
    assert plain.resample == Preprocessing.plain(32).resample


@pytest.mark.parametrize(
    ("preprocessing", "words"),
    [
        ({"image_processor_type": "SiglipImageProcessor"}, "SiglipImageProcessor"),
        (OLD | {"resample": 1}, "resample 2 or 3"),
        (OLD | {"crop_size": 24}, "size 40 and crop_size 24"),
        (OLD | {"size": 24}, "size 24 and crop_size 32"),
        (OLD | {"size": {"height": 32, "width": 48}, "do_center_crop": False}, "32 x 32 pixels"),
        (OLD | {"do_normalize": False}, "do_normalize"),
        (OLD | {"image_mean": [0.5]}, "three numbers"),
    ],
)
def test_a_preparation_that_we_could_not_do_exactly_is_refused(tmp_path, preprocessing, words):
    save_clip(tmp_path, side=32, preprocessing=preprocessing)
    with pytest.raises(ConfigError, match=words) as refused:
        pretrained_reranker(str(tmp_path))
    assert str(refused.value).startswith(f"clip.pretrained='{tmp_path}': wanted")


def test_captions_are_cut_at_the_towers_end_and_it_says_which(tmp_path):
    save_clip(tmp_path)
    reranker = pretrained_reranker(str(tmp_path))
    ids = reranker.tokenize(["a red circle", "a blue square a red square a"])
    assert ids.tolist() == [[0, 2, 3, 4, 1, 1], [0, 2, 5, 6, 2, 1]]
    assert not reranker.truncates("a red circle a")
    assert reranker.truncates("a red circle a a")


def test_weights_in_half_precision_are_computed_in_float32(tmp_path):
    save_clip(tmp_path)
    CLIPModel.from_pretrained(tmp_path).half().save_pretrained(tmp_path)
    reranker = pretrained_reranker(str(tmp_path))
    assert {weight.dtype for weight in reranker.parameters()} == {torch.float32}
    assert reranker.image_features(torch.rand(1, 3, 16, 16)).dtype == torch.float32


def change(folder, part, name, value):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    (config[part] if part else config)[name] = value
    path.write_text(json.dumps(config))


def no_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()


def only_pickles(folder):
    torch.save(CLIPModel.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def cut_short(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def another_model(folder):
    towers = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = SiglipConfig(text_config=towers | {"vocab_size": 7}, vision_config=towers)
    SiglipModel(config).save_pretrained(folder)


DAMAGES = {
    "nothing": (lambda folder: shutil.rmtree(folder), "no config.json of a model"),
    "a broken config": (
        lambda folder: (folder / "config.json").write_text("{"),
        "no config.json of a model",
    ),
    "SigLIP": (another_model, "a model of type siglip; only CLIP itself ranks"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
    "pickles": (only_pickles, r"only pickles \(pytorch_model.bin\), which may hold code"),
    "half a file": (cut_short, "weights that cannot be read"),
    "another width": (
        lambda folder: change(folder, None, "projection_dim", 5),
        "weights that cannot be read by its config.json",
    ),
    "a layer more": (
        lambda folder: change(folder, "text_config", "num_hidden_layers", 2),
        r"16 weights fewer than its config.json wants, text_model\.encoder",
    ),
    "no tokenizer": (no_tokenizer, "no words in its tokenizer"),
    "another end": (
        lambda folder: change(folder, "text_config", "eos_token_id", 5),
        "captions do not end where the tower is read, at id 5",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_whole_clip_is_refused_in_a_sentence(tmp_path, damage):
    folder = save_clip(tmp_path / "clip")
    harm, words = DAMAGES[damage]
    harm(folder)
    with pytest.raises(ConfigError, match=words) as refused:
        pretrained_reranker(str(folder), setting="measure.clip")
    said = str(refused.value)
    assert said.startswith("measure.clip: wanted the hub name or folder of a CLIP")
    assert "\n" not in said


def test_a_tokenizer_with_more_words_than_the_tower_is_refused(tmp_path):
    folder = save_clip(tmp_path)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["circle"] = 9
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(ConfigError, match="a tokenizer of 7 ids for a tower of 7"):
        pretrained_reranker(str(folder))
