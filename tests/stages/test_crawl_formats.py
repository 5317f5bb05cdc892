"""Whatever form a picture comes in, what is stored is upright, in colour, and on white."""

import numpy as np
import pytest

from stages import pictures
from tests.stages import formats

COLOUR, GREY = formats.in_colour(), formats.in_grey()


def stored(data):
    image, width, height, original_width, original_height, error = formats.shrunk(data, side=32)
    assert error is None
    assert (original_width, original_height) == (formats.WIDTH, formats.HEIGHT)
    pixels = pictures.decode(image)
    assert pixels.shape == (height, width, 3) == (48, 72, 3)
    return formats.corners(pixels)


@pytest.mark.parametrize("form", COLOUR)
def test_a_picture_is_stored_in_its_colours(form):
    assert np.abs(stored(COLOUR[form]) - formats.COLOURS).max() < 8


@pytest.mark.parametrize("form", GREY)
def test_a_grey_picture_is_stored_in_its_greys(form):
    expected = formats.GREY_COLOURS.copy()
    if form.endswith("alpha"):
        expected[3] = 255
    assert np.abs(stored(GREY[form]) - expected).max() < 4


def test_sixteen_bits_of_colour_are_scaled():
    import cv2

    wide = np.asarray(formats.upright())[:, :, ::-1].astype(np.uint16) * 257
    data = cv2.imencode(".png", wide)[1].tobytes()
    assert np.abs(stored(data) - formats.COLOURS).max() < 8
