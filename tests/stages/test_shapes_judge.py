"""The judge sees what the world drew, also in spoiled pictures, and nothing else."""

from collections import Counter

import cv2
import numpy as np
import pytest

from stages.shapes import SHAPES, Scene, ShapeKind, draw, judge, named, scene
from stages.shapes.drawing import coverage
from stages.shapes.world import COLOURS, Figure

SCENES = [scene(3, index) for index in range(1_000)]
GREY = (190, 185, 195)


def picture(*figures):
    return draw(Scene(figures, GREY, "", "", ""), 64)


def single(colour, shape, x=0.5, y=0.5, radius=0.2):
    return Figure(ShapeKind(colour, shape), COLOURS[colour], "large", x, y, radius)


def right(prompt, pixels):
    """Whether every shape that the prompt names is there in its own colour."""
    wanted = Counter(named(prompt))
    return bool(wanted) and wanted <= Counter(judge(pixels))


def jpeg(pixels):
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], 1)


def blurred(pixels, rng):
    """Like a dVAE's reconstruction, a little worse: 24 dB."""
    soft = cv2.GaussianBlur(pixels, (0, 0), 2.0) + rng.normal(0, 12, pixels.shape)
    return soft.clip(0, 255).round().astype(np.uint8)


def share_right(spoil):
    """Right means: exactly what was drawn, nothing missing and nothing more."""
    found = [
        Counter(judge(spoil(draw(each, 64)))) == Counter(figure.kind for figure in each.figures)
        for each in SCENES
    ]
    return np.mean(found)


def test_the_judge_sees_what_the_world_drew():
    assert share_right(jpeg) >= 0.99


def test_the_judge_sees_it_in_blurred_and_noisy_pictures():
    rng = np.random.default_rng(0)
    assert share_right(lambda pixels: blurred(pixels, rng)) >= 0.97


def test_the_judge_looks_at_pictures_of_any_size():
    assert all(judge(draw(each, 256)) for each in SCENES[:20])
    assert right("a red circle", draw(Scene((single("red", "circle"),), GREY, "", "", ""), 256))


def test_plain_and_noisy_pictures_show_nothing():
    rng = np.random.default_rng(0)
    for colour in (*COLOURS.values(), GREY, (0, 0, 0), (255, 255, 255)):
        assert judge(np.full((64, 64, 3), colour, np.uint8)) == []
    for _ in range(50):
        assert judge(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) == []


@pytest.mark.parametrize(
    "box", [(30, 35, 8, 56), (8, 56, 30, 34), (10, 54, 10, 30)], ids=["lying", "upright", "slab"]
)
def test_a_bar_is_none_of_the_shapes(box):
    top, bottom, left, right_edge = box
    pixels = np.full((64, 64, 3), GREY, np.uint8)
    pixels[top:bottom, left:right_edge] = COLOURS["red"]
    assert judge(pixels) == []


def test_a_star_without_its_points_is_a_star_but_a_square_without_its_corner_is_no_square():
    whole = coverage("star", x=32, y=32, radius=13, width=64, height=64)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    worn = cv2.morphologyEx(whole, cv2.MORPH_OPEN, brush)[..., None]
    pixels = (worn * COLOURS["red"] + (1 - worn) * GREY).round().astype(np.uint8)
    assert judge(pixels) == [ShapeKind("red", "star")]

    pixels = np.full((64, 64, 3), GREY, np.uint8)
    pixels[20:44, 20:44] = COLOURS["red"]
    assert judge(pixels) == [ShapeKind("red", "square")]
    pixels[20:32, 32:44] = GREY
    assert not right("a red square", pixels)


def test_half_a_ring_is_no_ring():
    pixels = picture(single("red", "ring", radius=0.3))
    pixels[32:] = GREY
    assert not right("a red ring", pixels)


def test_a_half_of_one_colour_is_no_shape():
    halves = np.full((64, 64, 3), GREY, np.uint8)
    halves[:, 32:] = COLOURS["red"]
    assert not right("a red square", halves)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_right_means_this_colour_and_this_shape_and_no_other(colour, shape):
    pixels = picture(single(colour, shape))
    for other_colour in COLOURS:
        for other_shape in SHAPES:
            expected = (other_colour, other_shape) == (colour, shape)
            assert right(f"a {other_colour} {other_shape}", pixels) == expected


def test_every_named_shape_must_be_there_in_its_own_colour():
    pixels = picture(
        single("red", "circle", x=0.27, radius=0.17), single("blue", "square", x=0.73, radius=0.17)
    )
    assert right("a red circle and a blue square", pixels)
    assert right("a blue square", pixels)
    assert not right("a blue circle and a red square", pixels)
    assert not right("a red circle and a red circle", pixels)
    assert not right("a red circle, a blue square and a green star", pixels)


def test_a_prompt_that_names_nothing_of_this_world_is_never_right():
    assert not right("a painting of a capybara", picture(single("red", "circle")))
