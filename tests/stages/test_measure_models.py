"""The filters that look at pictures with somebody's trained model."""

import io
import sys

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import AutoTokenizer, CLIPModel

from schemas.errors import ConfigError
from stages.measure.agreement import Agreement
from stages.measure.nsfw import Nsfw
from stages.measure.writing import TextReader
from stages.models.clip_preprocessing import MEAN, STD
from tests.stages.published import save_clip


def file_of(pixels, kind="JPEG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def scenery():
    patches = np.random.default_rng(0).integers(60, 200, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(patches, (384, 256), interpolation=cv2.INTER_CUBIC)


def written(*lines):
    pixels = scenery()
    for number, line in enumerate(lines):
        cv2.putText(pixels, line, (20, 70 + 60 * number), 0, 1.4, (255, 255, 255), 3)
    return file_of(pixels)


@pytest.fixture(scope="module")
def reader():
    pytest.importorskip("rapidocr_onnxruntime")
    return TextReader()


def test_harmless_pictures_are_safe_in_any_form():
    pytest.importorskip("nudenet")
    nsfw = Nsfw()
    grey = cv2.cvtColor(scenery(), cv2.COLOR_RGB2GRAY)
    assert nsfw.score(file_of(scenery())) == 0
    assert nsfw.score(file_of(grey)) == 0
    assert nsfw.score(file_of(scenery()[:8, :8])) == 0


def test_a_picture_without_letters_has_no_writing(reader):
    assert reader.read(file_of(scenery())) == (0.0, None)


def test_an_agency_is_known_by_its_name(reader):
    covered, agency = reader.read(written("shutterstock"))
    assert agency == "shutterstock"
    assert 0.03 < covered < 0.3


def test_a_page_of_text_is_covered_by_more_of_it_and_has_no_agency(reader):
    covered, agency = reader.read(written("a page of", "many words", "and nothing"))
    assert agency is None
    assert covered > reader.read(written("one word"))[0] * 1.5


def test_agreement_is_the_cosine_of_the_published_model(tmp_path):
    save_clip(tmp_path)
    pixels = scenery()[:16, 4:20]  # of the tower's own size: nothing is resized
    wide = np.concatenate([pixels[:, :4], pixels, pixels[:, :4]], axis=1)
    scores = Agreement(str(tmp_path)).scores(
        [file_of(pixels, "PNG"), file_of(wide, "PNG")], ["a red circle", "a blue square"]
    )
    clip, tokenizer = CLIPModel.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer(["a red circle", "a blue square"], return_tensors="pt")["input_ids"]
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in (MEAN, STD))
    image = (torch.tensor(pixels).permute(2, 0, 1) / 255 - mean) / std
    with torch.no_grad():
        seen = clip.visual_projection(clip.vision_model(image[None]).pooler_output)
        read = clip.text_projection(clip.text_model(ids).pooler_output)
    assert scores == pytest.approx(F.cosine_similarity(seen, read).tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("model", "package", "extra"),
    [(Nsfw, "nudenet", "nsfw"), (TextReader, "rapidocr_onnxruntime", "ocr")],
)
def test_a_package_that_is_not_installed_is_asked_for(monkeypatch, model, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"pip install 'dalle-ray\[{extra}\]'"):
        model()
