"""What is kept of a user's picture."""

import numpy as np
import pytest
import torch

from pipelines.draw import Painter
from pipelines.drawing.given import given
from schemas.errors import ConfigError
from stages.pictures import encode_png, to_tensor
from tests import tiny_run


@pytest.fixture(scope="module")
def artist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    tiny_run.build(folder)
    return Painter(folder).artist


@pytest.fixture
def picture(tmp_path):
    """Wider than high, with noise; and what is left of it in the middle."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 40, 3)).astype(np.uint8)
    path = tmp_path / "wide.png"
    path.write_bytes(encode_png(pixels))
    return str(path), pixels[:, 12:28]


def test_the_middle_square_is_encoded_and_its_top_rows_are_kept(artist, picture):
    path, square = picture
    found = given(artist, path, rows=1)
    with torch.inference_mode():
        codes = artist.dvae.codes(to_tensor([square]))
    assert np.array_equal(found.square, square)
    assert torch.equal(found.codes, codes[0, :1].flatten())
    assert found.words == "given: 1 of 2 rows"


def test_as_many_rows_as_in_the_paper_unless_told(artist, picture):
    assert given(artist, picture[0]).rows == 1  # 15 of 32, of 2


def test_the_rest_is_shown_pale_below_a_line(artist, picture):
    path, square = picture
    shown = np.asarray(given(artist, path, rows=1).image)
    assert np.array_equal(shown[:8], square[:8])
    assert len(np.unique(shown[8].reshape(-1, 3), axis=0)) == 1
    assert shown[9:].min() >= 255 - 0.3 * 255 - 1
    assert not np.array_equal(shown[9:], np.full_like(shown[9:], 255))


@pytest.mark.parametrize("rows", [0, -1, 2])
def test_rows_that_leave_nothing_or_all_to_draw_are_refused(artist, picture, rows):
    with pytest.raises(ConfigError, match=rf"wanted 1 to 1 of the 2 rows of codes, found {rows}"):
        given(artist, picture[0], rows)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("gone.png", None, "picture_missing"),
        ("text.png", b"no picture", "undecodable"),
        ("small.png", encode_png(np.zeros((15, 40, 3), np.uint8)), "too_small: 40 x 15"),
        ("odd://x.png", None, "picture_missing"),
    ],
)
def test_what_is_no_picture_is_one_sentence(artist, tmp_path, name, data, said):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    path = name if "://" in name else str(tmp_path / name)
    with pytest.raises(ConfigError, match=rf"wanted a picture of 16 x 16 .*{said}.*another file"):
        given(artist, path)
