"""What is kept of a user's picture."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.draw import __main__ as draw
from pipelines.draw.image_prompt import image_prompt
from pipelines.draw.sheet import GAP, sheet
from schemas.errors import ConfigError
from stages.pictures import encode_png
from stages.pictures.tensors import to_tensor


@pytest.fixture
def generator(pipeline):
    return pipeline.generator


@pytest.fixture
def picture(tmp_path):
    """Wider than high, with noise; and what is left of it in the middle."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 40, 3)).astype(np.uint8)
    path = tmp_path / "wide.png"
    path.write_bytes(encode_png(pixels))
    return str(path), pixels[:, 12:28]


def test_the_middle_square_is_encoded_and_its_top_rows_are_kept(generator, picture):
    path, square = picture
    found = image_prompt(generator, path, rows=1)
    with torch.inference_mode():
        codes = generator.dvae.codes(to_tensor([square]))
    assert np.array_equal(found.square, square)
    assert torch.equal(found.codes, codes[0, :1].flatten())
    assert found.label == "given: 1 of 2 rows"


def test_as_many_rows_as_in_the_paper_unless_told(generator, picture):
    assert image_prompt(generator, picture[0]).rows == 1  # 15 of 32, of 2


def test_the_rest_is_shown_pale_below_a_line(generator, picture):
    path, square = picture
    shown = np.asarray(image_prompt(generator, path, rows=1).image)
    assert np.array_equal(shown[:8], square[:8])
    assert len(np.unique(shown[8].reshape(-1, 3), axis=0)) == 1
    assert shown[9:].min() >= 255 - 0.3 * 255 - 1
    assert not np.array_equal(shown[9:], np.full_like(shown[9:], 255))


@pytest.mark.parametrize("rows", [0, -1, 2])
def test_rows_that_leave_nothing_or_all_to_draw_are_refused(generator, picture, rows):
    with pytest.raises(ConfigError, match=rf"wanted 1 to 1 of the 2 rows of codes, found {rows}"):
        image_prompt(generator, picture[0], rows)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("gone.png", None, "picture_missing"),
        ("text.png", b"no picture", "undecodable"),
        ("small.png", encode_png(np.zeros((15, 40, 3), np.uint8)), "too_small: 40 x 15"),
        ("odd://x.png", None, "picture_missing"),
    ],
)
def test_what_is_no_picture_is_one_sentence(generator, tmp_path, name, data, said):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    path = name if "://" in name else str(tmp_path / name)
    with pytest.raises(ConfigError, match=rf"wanted a picture of 16 x 16 .*{said}.*another file"):
        image_prompt(generator, path)


def test_every_candidate_completes_the_given_codes(pipeline, generator, picture):
    found = pipeline.image_prompt(picture[0], rows=1)
    pictures = pipeline.draw("a red star", n=3, image_prompt=found)
    (same,) = generator.draw(["a red star"], range(3), 0, given=found.codes[None])
    for picture, drawn in zip(pictures, same, strict=True):
        assert np.array_equal(picture.pixels, drawn.pixels)
    codes = generator.sampler.draw(
        generator.tokenize(["a red star"]),
        torch.tensor([[drawn.seed for drawn in same]]),
        generator.sampling,
        found.codes[None],
    ).codes
    assert torch.equal(codes[0, :, :2], found.codes.expand(3, 2))


def test_the_sheet_shows_what_is_given_first(pipeline, picture):
    found = pipeline.image_prompt(picture[0])
    image = np.asarray(
        sheet(pipeline.draw("a red star", n=6, image_prompt=found), image_prompt=found)
    )
    assert image.shape[1] == 5 * 256 + 6 * GAP  # four candidates beside it
    cell = image[GAP : GAP + 256, GAP : GAP + 256]
    assert np.array_equal(cell[8::16, 8::16], np.asarray(found.image))


def test_the_command_completes_a_picture(root, pipeline, picture, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = ["a red star", "--root", root, "-n", "2", "--complete", picture[0], "--rows", "1"]
    assert draw.main(argv) == 0
    printed = capsys.readouterr().out.strip()
    assert printed == "a-red-star-0-completed.png"
    text = Image.open(printed).text
    codes = pipeline.image_prompt(picture[0], 1).codes.tolist()
    assert text["given_rows"] == "1"
    assert text["given_codes"] == " ".join(map(str, codes))
    assert text["prompt"] == "a red star"
    assert "given_rows" not in Image.open(io.BytesIO(sheet_of(root))).text


def sheet_of(root):
    assert draw.main(["a red star", "--root", root, "-n", "2"]) == 0
    return Path("a-red-star-0.png").read_bytes()
