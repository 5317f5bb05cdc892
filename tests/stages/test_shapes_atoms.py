"""What captions say, and whether pictures show it: statements, the judge's eye, planted lies."""

import math

import cv2
import numpy as np
import pytest

from stages import shapes
from stages.evaluate.judge_audit import audit, statements
from stages.shapes import CountAtom, PlaceAtom, RelationAtom, ShapeAtom, ShapeKind, SizeAtom
from stages.shapes.world import Figure

RED_STAR, BLUE_RING = ShapeKind("red", "star"), ShapeKind("blue", "ring")
GREY = (190, 185, 195)
PLACES = {  # of a centre, as shares of the side
    "top": (0.5, 1 / 3),
    "bottom": (0.5, 2 / 3),
    "left": (1 / 3, 0.5),
    "right": (2 / 3, 0.5),
    "middle": (0.5, 0.5),
}


def picture(*found):
    figures = [
        Figure(one.kind, shapes.COLOURS[one.kind.colour], "", one.x, one.y, one.radius)
        for one in found
    ]
    return shapes.draw(shapes.Scene(tuple(figures), GREY, "", "", ""), 64)


def at(kind, x=0.5, y=0.5, radius=0.22):
    return shapes.SeenShape(kind, x, y, radius)


def wrong(caption, *found):
    """The aspects in which a drawn picture is not as the caption says, as the judge sees it."""
    seen = shapes.find_shapes(picture(*found))
    failed = {atom.aspect for atom in shapes.atoms(caption) if not atom.holds(seen)}
    return [aspect for aspect in shapes.ASPECTS if aspect in failed]


# ---- what captions say


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("red star", [ShapeAtom(RED_STAR)]),
        ("a drawing of a red star", [ShapeAtom(RED_STAR), CountAtom(1)]),
        (
            "On the left there is a SMALL red star",
            [ShapeAtom(RED_STAR), SizeAtom(RED_STAR, "small"), PlaceAtom(RED_STAR, "left"),
             CountAtom(1)],
        ),
        (
            "a picture of a red star in the middle",
            [ShapeAtom(RED_STAR), PlaceAtom(RED_STAR, "middle"), CountAtom(1)],
        ),
        (
            "a red star is to the right of a blue ring",
            [ShapeAtom(RED_STAR), ShapeAtom(BLUE_RING), RelationAtom(RED_STAR, "right", BLUE_RING),
             CountAtom(2)],
        ),
        (
            "we see a blue ring above a red star",
            [ShapeAtom(BLUE_RING), ShapeAtom(RED_STAR), RelationAtom(BLUE_RING, "above", RED_STAR),
             CountAtom(2)],
        ),
        ("a red star and a blue ring", [ShapeAtom(RED_STAR), ShapeAtom(BLUE_RING), CountAtom(2)]),
        (
            "a small red star at the top and a blue ring at the bottom",
            [ShapeAtom(RED_STAR), SizeAtom(RED_STAR, "small"), PlaceAtom(RED_STAR, "top"),
             ShapeAtom(BLUE_RING), PlaceAtom(BLUE_RING, "bottom"), CountAtom(2)],
        ),
        ("a red star and a red star", [ShapeAtom(RED_STAR), ShapeAtom(RED_STAR, 2), CountAtom(2)]),
        ("a red star on the left of the room", [ShapeAtom(RED_STAR), CountAtom(1)]),
        ("a painting of a capybara on the left", []),
    ],
)  # fmt: skip
def test_a_caption_is_taken_apart_into_what_it_says(caption, said):
    assert shapes.atoms(caption) == tuple(said)


SCENES = [shapes.scene(3, index) for index in range(2_000)]


def test_every_word_of_the_worlds_captions_is_read_and_true():
    for scene in SCENES:
        said = shapes.atoms(scene.caption)
        by_aspect = {aspect: [a for a in said if a.aspect == aspect] for aspect in shapes.ASPECTS}
        assert [atom.kind for atom in by_aspect["shape"]] == shapes.named(scene.caption)
        for aspect, phrases in (
            ("size", shapes.SIZES),
            ("place", shapes.PLACES.values()),
            ("relation", shapes.RELATIONS.values()),
        ):
            told = sum(f" {words} " in f" {scene.caption} " for words in phrases)
            assert len(by_aspect[aspect]) == told
        assert by_aspect["count"] == [CountAtom(len(scene.figures))]
        assert all(atom.holds(shapes.shown(scene)) for atom in said)


def test_prompts_say_two_to_four_things():
    lengths = [len(shapes.atoms(text)) for text in shapes.prompts("held_out", 864, seed=0)]
    assert set(lengths) == {2, 3, 4}
    assert {len(shapes.atoms(text)) for text in shapes.prompts("two_shapes", 200, 0)} == {3, 4}


# ---- what is so


def test_a_direction_is_far_enough_and_within_60_degrees():
    def above(angle, far=0.3):
        """Degrees away from straight up, to the right."""
        x, y = far * math.sin(math.radians(angle)), -far * math.cos(math.radians(angle))
        return RelationAtom(RED_STAR, "above", BLUE_RING).holds(
            [at(RED_STAR, 0.5 + x, 0.5 + y), at(BLUE_RING)]
        )

    assert above(0)
    assert above(59)
    assert above(-59)
    assert not above(61)
    assert not above(180)
    assert not above(0, far=0.08)


def test_half_way_to_the_edge_of_the_middle_is_the_middle():
    for place, (x, y) in PLACES.items():
        for other in shapes.PLACES:
            for share in (0.6, 1, 1.3):
                x_, y_ = 0.5 + share * (x - 0.5), 0.5 + share * (y - 0.5)
                held = PlaceAtom(RED_STAR, other).holds([at(RED_STAR, x_, y_)])
                assert held == (other == place)


def test_a_relation_is_between_two_shapes_also_of_one_kind():
    two = [at(RED_STAR, y=0.25), at(RED_STAR, y=0.75)]
    assert RelationAtom(RED_STAR, "above", RED_STAR).holds(two)
    assert not RelationAtom(RED_STAR, "left", RED_STAR).holds(two)
    assert not RelationAtom(RED_STAR, "above", RED_STAR).holds(two[:1])


def test_what_is_said_of_a_missing_shape_is_not_so():
    for atom in (
        SizeAtom(RED_STAR, "small"),
        PlaceAtom(RED_STAR, "middle"),
        RelationAtom(RED_STAR, "above", BLUE_RING),
        RelationAtom(BLUE_RING, "above", RED_STAR),
    ):
        assert not atom.holds([at(BLUE_RING)])
        assert not atom.about <= {BLUE_RING}


# ---- planted lies, in drawn pictures


def test_swapped_relations_are_caught():
    left, right = at(RED_STAR, x=0.25), at(BLUE_RING, x=0.75)
    swapped = at(RED_STAR, x=0.75), at(BLUE_RING, x=0.25)
    caption = "a red star is to the left of a blue ring"
    assert wrong(caption, left, right) == []
    assert wrong(caption, *swapped) == ["relation"]
    assert wrong(caption, at(BLUE_RING, x=0.25), at(BLUE_RING, x=0.75)) == ["shape", "relation"]
    above = at(RED_STAR, y=0.25), at(BLUE_RING, y=0.75)
    assert wrong("a red star is below a blue ring", *above) == ["relation"]
    assert wrong("we see a blue ring below a red star", *above) == []


@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_wrong_sizes_are_caught(shape):
    kind = ShapeKind("blue", shape)
    for size, radius in (("small", 0.235), ("large", 0.30)):
        assert wrong(f"a {size} blue {shape}", at(kind, radius=radius)) == []
    assert wrong(f"a small blue {shape}", at(kind, radius=0.30)) == ["size"]
    assert wrong(f"a large blue {shape}", at(kind, radius=0.235)) == ["size"]


@pytest.mark.parametrize("shape", shapes.SHAPES)
@pytest.mark.parametrize(("place", "centre"), PLACES.items(), ids=PLACES)
def test_wrong_places_are_caught(shape, place, centre):
    drawn = at(ShapeKind("green", shape), *centre, radius=0.3)
    for other, words in shapes.PLACES.items():
        expected = [] if other == place else ["place"]
        assert wrong(f"there is a green {shape} {words}", drawn) == expected


def test_extra_shapes_are_caught():
    one, extra = at(RED_STAR, x=0.25), at(ShapeKind("green", "circle"), x=0.75)
    assert wrong("a red star on a plain background", one) == []
    assert wrong("a red star on a plain background", one, extra) == ["count"]
    assert wrong("a red star and a green circle", one) == ["shape", "count"]
    again = at(RED_STAR, x=0.75)
    assert wrong("a red star on a plain background", one, again) == ["count"]
    assert wrong("a red star and a red star", one, again) == []
    assert wrong("a red star and a red star", one) == ["shape", "count"]


@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_the_judge_measures_where_and_how_large(shape):
    for x, y, radius in ((1 / 3, 0.5, 0.235), (0.5, 2 / 3, 0.3), (0.25, 0.75, 0.2)):
        drawn = at(ShapeKind("purple", shape), x, y, radius)
        (seen,) = shapes.find_shapes(picture(drawn))
        assert seen.kind == drawn.kind
        assert (seen.x, seen.y) == pytest.approx((x, y), abs=0.01)
        assert seen.radius == pytest.approx(radius, rel=0.05)


# ---- the audit


def test_everything_that_can_be_said_is_said():
    one = list(statements([at(RED_STAR)]))
    assert len(one) == len(set(one)) == 36 + 2 + 5 + 4
    two = list(statements([at(RED_STAR, x=0.25), at(BLUE_RING, x=0.75)]))
    assert len(two) == len(set(two)) == 36 + 2 * (2 + 5) + 2 * 4 + 4


def test_the_judge_is_right_of_99_percent_of_each_kind_of_statement():
    exact, shares = audit(SCENES, (shapes.draw(scene, 64) for scene in SCENES))
    assert exact >= 0.99 * len(SCENES)
    for aspect in shapes.ASPECTS:
        assert min(shares[aspect]["true"], shares[aspect]["false"]) >= 0.99, aspect


def test_the_judge_is_right_of_95_percent_of_them_in_blurred_and_noisy_pictures():
    """As bad as a dVAE's reconstructions may be in the demo, or worse: 24 dB."""
    rng = np.random.default_rng(0)

    def blurred(pixels):
        soft = cv2.GaussianBlur(pixels, (0, 0), 2.0) + rng.normal(0, 12, pixels.shape)
        return soft.clip(0, 255).round().astype(np.uint8)

    scenes = SCENES[:500]
    _, shares = audit(scenes, (blurred(shapes.draw(scene, 64)) for scene in scenes))
    for aspect in shapes.ASPECTS:
        assert min(shares[aspect]["true"], shares[aspect]["false"]) >= 0.95, aspect


def test_a_judge_shown_other_pictures_is_wrong_of_many():
    others = [shapes.draw(scene, 64) for scene in SCENES[100:200]]
    exact, shares = audit(SCENES[:100], others)
    assert exact < 10
    assert max(shares[aspect]["true"] for aspect in ("shape", "place", "relation")) < 0.5
