"""Nearest captions, and who chooses: by hand, and where captions belong to other pictures."""

import numpy as np
import pyarrow as pa
import pytest

from infra.store import open_folder
from schemas import rows
from stages import shapes
from stages.data.parquet import PICTURE_FILE, parquet_bytes
from stages.evaluate.baselines.choosers import choice
from stages.evaluate.baselines.drawings import PROMPTS, KeptPrompts, beside_nearest, paired
from stages.evaluate.baselines.nearest_captions import NearestCaption, nearest_pictures
from stages.evaluate.judgements import judged
from stages.evaluate.reading import Candidate, DrawnPrompt
from stages.pictures import encode_png
from stages.shapes.world import SEEN
from tests import tiny_run

SIDE = 64


def test_the_caption_with_the_largest_part_of_words_in_common():
    nearest = NearestCaption(["a red star", "a red star on a plain background", "a blue ring"])
    assert nearest("A red STAR.") == 0
    assert nearest("a red star at the top") == 0  # 3 of 6; the second has 3 of 9
    assert nearest("a plain background") == 1
    assert nearest("ring, blue!") == 2
    assert nearest("star red a") == 0  # the order does not count


def test_ties_are_broken_by_the_text_alone():
    nearest = NearestCaption(["a cat", "a cat", "a cat", "the dog"])
    texts = [f"{number} cat" for number in range(60)]
    found = [nearest(text) for text in texts]
    assert found == [NearestCaption(nearest.captions)(text) for text in texts]
    assert set(found) == {0, 1, 2}
    assert {nearest(f"{number}") for number in range(60)} == {0, 1, 2, 3}  # nothing in common


def clean(folder, captions, pictures):
    """Write training rows of clean_pairs in two files."""
    template = tiny_run.clean_rows("train")[0]
    made = [
        template | {"key": str(n), "caption": caption, "image": picture}
        for n, (caption, picture) in enumerate(zip(captions, pictures, strict=True))
    ]
    half = len(made) // 2
    for number, part in enumerate((made[:half], made[half:])):
        table = pa.Table.from_pylist(part, schema=rows.CLEAN_PAIR)
        folder.commit(f"train/shard-{number:05d}.parquet", parquet_bytes(table, PICTURE_FILE))
    return folder


def test_the_picture_is_that_of_the_caption_and_unreadable_ones_are_none(folder):
    grey = [np.full((20, 30, 3), level, np.uint8) for level in range(6)]
    captions = ["one", "two", "three", "four", "five", "six"]
    pngs = [encode_png(picture) for picture in grey]
    pngs[4] = b"not a picture"
    found = nearest_pictures(clean(folder, captions, pngs), 16, ["four", "five", "one", "one"])
    assert found[1] is None
    assert found[0].shape == (16, 16, 3)
    assert [found[place].max() for place in (0, 2, 3)] == [3, 0, 0]
    assert nearest_pictures(folder, 16, []) == []


def drawn(text, pictures, ranks=None, kind="seen", likely=None):
    """A prompt whose candidates are these pictures, in their order or as ranked.

    The prior finds them ever less likely, unless `likely` says otherwise.
    """
    ranks = range(len(pictures)) if ranks is None else ranks
    likely = range(0, -len(pictures), -1) if likely is None else likely
    made = [
        Candidate(n, n, rank, float(-rank), float(nats), png=encode_png(own))
        for n, (own, rank, nats) in enumerate(zip(pictures, ranks, likely, strict=True))
    ]
    return DrawnPrompt(0, text, kind, tuple(sorted(made, key=lambda one: one.rank)))


def of_kind(kind):
    """The first picture of the world that shows this kind alone."""
    for index in range(10_000):
        scene = shapes.scene(3, index)
        if [figure.kind for figure in scene.figures] == [kind]:
            return shapes.draw(scene, SIDE)
    raise AssertionError(kind)


RED_RING = shapes.ShapeKind("red", "ring")
GOOD, BAD = of_kind(RED_RING), of_kind(shapes.ShapeKind("blue", "square"))
FLAT = np.full((SIDE, SIDE, 3), 200, np.uint8)


def chosen(pictures, ranks=None, likely=None):
    prompt = drawn("a red ring", pictures, ranks, likely=likely)
    return choice(prompt, judged(prompt, 0))[1:]


def test_choosers_by_hand():
    """Random is the mean of the first eight; the first, the likeliest, CLIP's, both's, and any."""
    assert chosen([GOOD, BAD, BAD, BAD]) == (0.25, 1, 1, 1, 1, 1)
    assert chosen([GOOD, BAD, BAD, BAD], ranks=[3, 2, 1, 0]) == (0.25, 1, 1, 0, 1, 1)  # all tie
    assert chosen([GOOD, BAD, BAD, BAD], likely=[-9, -8, -2, -3]) == (0.25, 1, 0, 1, 0, 1)
    # the likeliest is the first of two that tie
    assert chosen([BAD, GOOD, BAD, BAD], likely=[-9, -2, -2, -3]) == (0.25, 0, 1, 0, 1, 1)
    assert chosen([BAD, BAD]) == (0, 0, 0, 0, 0, 0)
    assert chosen([BAD] * 8 + [GOOD], ranks=[*range(1, 9), 0]) == (0, 0, 0, 1, 0, 1)
    assert chosen([GOOD] * 2 + [BAD] * 6 + [GOOD] * 8)[0] == 0.25


def test_a_flat_picture_is_no_favourite_however_likely():
    """By likelihood and by both it comes last; CLIP's own order is the paper's."""
    assert chosen([FLAT, GOOD], likely=[-1, -9]) == (0.5, 0, 1, 0, 1, 1)
    assert chosen([FLAT, BAD, GOOD], ranks=[1, 2, 0], likely=[-1, -9, -8])[2:5] == (1, 1, 1)


def test_the_table_of_choosers_by_hand():
    kept = KeptPrompts()
    for pictures, ranks, likely in (
        ([GOOD, BAD], [1, 0], [-2, -3]),
        ([GOOD, BAD], [0, 1], [-4, -4]),
        ([BAD, BAD], [0, 1], [-3, -2]),
    ):
        prompt = drawn("a red ring", pictures, ranks, likely=likely)
        kept.add(prompt, judged(prompt, 0))
    other = drawn("something of another world", [BAD, BAD], kind="validation")
    kept.add(other, judged(other, 0))
    found = kept.by_score()
    assert set(found.sets) == {"seen"}  # nothing is right of what names no shape
    assert found.sets["seen"] == found.all
    assert found.all.prompts == 3
    shares = {"first": 2 / 3, "random": 1 / 3, "clip": 1 / 3, "prior_likelihood": 2 / 3,
              "both": 2 / 3, "best_possible": 2 / 3, "gain": 0}  # fmt: skip
    for name, share in shares.items():
        assert getattr(found.all, name) == pytest.approx(share)
    low, high = found.all.both_interval
    assert low < 2 / 3 < high
    assert found.all.clip_interval[0] < 1 / 3 < found.all.clip_interval[1]
    assert found.all.over_likelihood.share == pytest.approx(-1 / 3)
    assert found.all.over_likelihood.standard_error is None  # all name the same
    assert KeptPrompts().by_score() is None


def test_clip_that_ranks_backwards_loses_against_chance():
    kept = KeptPrompts()
    for kind in SEEN[:6]:
        own = drawn(f"a {kind.colour} {kind.shape}", [FLAT, FLAT, FLAT, of_kind(kind)])
        kept.add(own, judged(own, 0))
    found = kept.by_score().all
    assert (found.gain, found.standard_error) == (-0.25, 0)


def test_of_each_set_the_first_prompts_are_kept():
    kept, one = KeptPrompts(), drawn("x", [BAD])
    for _ in range(PROMPTS + 5):
        kept.add(one, None)
    kept.add(drawn("y", [BAD], kind="other"), None)
    assert [p.set for p in kept.kept] == ["seen"] * PROMPTS + ["other"]


def test_the_difference_is_paired_prompt_by_prompt():
    names = [frozenset([n]) for n in range(4)]
    found = paired(list(zip([1, 1, 0, 1], [0, 1, 0, 0], names, strict=True)))
    # differences 1, 0, 0, 1: mean 1/2, sqrt(sum of squares of errors x 4/3) / 4
    by_hand = {"prompts": 4, "ours": 0.75, "nearest": 0.25, "standard_error": (4 / 3) ** 0.5 / 4}
    assert found.model_dump() == pytest.approx(by_hand)


@pytest.fixture(scope="module")
def world():
    scenes = [shapes.scene(11, index) for index in range(400)]
    return [s.caption for s in scenes], [encode_png(shapes.draw(s, SIDE)) for s in scenes]


@pytest.fixture(scope="module")
def kept():
    """Prompts of two sets whose drawings are all wrong."""
    kept = KeptPrompts()
    for kind in ("seen", "held_out"):
        for text in shapes.prompts(kind, 24, 0):
            prompt = drawn(text, [FLAT], kind=kind)
            kept.add(prompt, judged(prompt, 0))
    return kept.kept


def looked_up(folder, kept, inputs):
    nearest = nearest_pictures(folder, SIDE, [prompt.text for prompt in kept])
    return beside_nearest(kept, nearest, tiny_run.clip(inputs))


def test_a_looked_up_picture_is_right_where_training_had_it_and_never_else(
    world, kept, inputs, tmp_path
):
    folder = clean(open_folder(tmp_path / "clean"), *world)
    found = looked_up(folder, kept, inputs)
    assert found.accuracy["seen"].nearest > 0.5  # of so few captions
    assert found.accuracy["held_out"].nearest < 0.1
    assert found.accuracy["seen"].ours == 0
    assert found.accuracy["seen"].prompts == 24
    assert found.whole["seen"].nearest < found.accuracy["seen"].nearest  # it is elsewhere, too
    assert found.whole["seen"].ours == 0
    assert found.r_precision.prompts == 48


def test_captions_of_other_pictures_lose(world, kept, inputs, tmp_path):
    captions, pictures = world
    folder = clean(open_folder(tmp_path / "clean"), captions[7:] + captions[:7], pictures)
    found = looked_up(folder, kept, inputs)
    assert found.accuracy["seen"].nearest < 0.25
