"""Of a folder that somebody has chosen only copies go: of one colour, and of one caption."""

import hashlib
import io

import cv2
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from infra.store import open_folder
from pipelines.options import resolve
from schemas.rows import SCORES
from schemas.settings import FilterSettings
from stages import filter as filter_stage
from stages.filter.dropped import most_dropped, remedy, too_much
from stages.filter.gather import Layouts, without_duplicates
from stages.filter.rules import REASONS, why_drop
from stages.measure.pairs import MeasurePairs
from stages.pictures.looks import colour_layout, perceptual_hash, whole
from tests.stages.test_filter import jpeg, pair, pairs_folder, photo
from tests.stages.test_filter_all_pairs import reasons

SMALL = resolve("small", None, []).filter


def tinted(number, red, blue):
    """A soft picture of one tint: what its luminance shows does not depend on the tint."""
    grey = np.asarray(photo(number).convert("L"), np.float32) / 4 + 90
    tint = np.full_like(grey, 128 + red), np.full_like(grey, 128 + blue)
    pixels = cv2.cvtColor(np.stack([grey, *tint], -1).astype(np.uint8), cv2.COLOR_YCrCb2RGB)
    return Image.fromarray(pixels)


ORANGE, TEAL = tinted(1, 30, -30), tinted(1, -30, 30)


def looks(picture):
    return whole(np.asarray(picture))


def gathered(pictures, **settings):
    """What becomes of (picture file, caption) pairs of one group: None stays."""
    rows = [
        {
            "place": place, "sha256": hashlib.sha256(data).hexdigest(), "group": "g",
            "caption": caption, "width": 80, "height": 80,
            "perceptual_hash": perceptual_hash(looks(Image.open(io.BytesIO(data)))),
        }
        for place, (data, caption) in enumerate(pictures)
    ]  # fmt: skip
    images = pa.chunked_array([pa.array([data for data, _ in pictures])])
    kept, dropped = without_duplicates(rows, FilterSettings(**settings), Layouts(images))
    of = {row["place"]: row.get("reason") for row in kept + dropped}
    return [of[place] for place in range(len(pictures))]


def test_pictures_that_differ_in_colour_alone_are_near_until_colours_count():
    assert perceptual_hash(looks(ORANGE)) == perceptual_hash(looks(TEAL))
    pair_of = [(jpeg(ORANGE), "a soft light"), (jpeg(TEAL), "a soft light")]
    assert gathered(pair_of) == [None, "near_duplicate"]
    assert gathered(pair_of, near_colour=12) == [None, None]
    assert gathered(pair_of, near_colour=200) == [None, "near_duplicate"]


def test_copies_of_the_same_colours_go_whatever_their_size_and_quality():
    copies = [jpeg(ORANGE), jpeg(ORANGE, quality=50), jpeg(ORANGE.resize((200, 200)), quality=80)]
    assert gathered([(data, "a light") for data in copies], near_colour=12) == [
        None,
        "near_duplicate",
        "near_duplicate",
    ]


def test_a_copy_under_another_caption_stays_if_captions_must_agree():
    first, again = jpeg(ORANGE), jpeg(ORANGE, quality=60)
    pairs = [(first, "a light"), (again, "a lamp"), (again, "A Light"), (again, "a lamp")]
    assert gathered(pairs[:2]) == [None, "near_duplicate"]
    assert gathered(pairs[:2], near_same_caption=True) == [None, None]
    assert gathered([pairs[0], pairs[2]], near_same_caption=True) == [None, "near_duplicate"]
    both = [(first, "a light"), (first, "a lamp"), (again, "a lamp")]  # each caption counts
    assert gathered(both, near_same_caption=True) == [None, None, "near_duplicate"]


@pytest.mark.parametrize("side", [40, 64, 65, 130, 700])
def test_a_layout_is_the_mean_colours_of_the_parts_at_any_size(side):
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[: side // 2, :, 0] = 200
    found = colour_layout(whole(pixels))
    assert found[:3].mean((0, 1)) == pytest.approx([200, 0, 0], abs=1)
    assert found[5:].max() < 1


@pytest.mark.parametrize(
    "caption", ["cat", "c", "\u706b", "ein roter Drachen auf der Wiese", "photo 3 May 2019"]
)
def test_small_keeps_captions_that_the_web_must_lose(caption):
    measured = MeasurePairs(None, resolve("small", None, []).measure)
    scores = dict.fromkeys(field.name for field in SCORES) | {"caption_pictures": 1_000}
    scores |= measured.measure([pair(0, caption=caption)])[0]
    assert why_drop(scores, SMALL.model_dump()) is None
    assert why_drop(scores, FilterSettings(side=64).model_dump()) is not None


def step(rule, dropped, *captions, rows_in=100):
    shown = [{"key": "k", "url": f"{rule}.png", "caption": caption} for caption in captions]
    return {"rule": rule, "dropped": dropped, "rows_in": rows_in, "examples": shown}


STEPS = [
    step("missing_file", 1, None),
    step("caption_too_short", 4, "cat", "sun", "car"),
    step("flat", 0),
    step("near_duplicate", 16, "a hand: dark", "a hand: light"),
    step("duplicate", 2, "a hand"),
]


def test_the_rules_that_dropped_most_are_told_with_two_captions_each():
    assert list(most_dropped(STEPS)) == [
        'left out 16 as near_duplicate, such as "a hand: dark" and "a hand: light"',
        'left out 4 as caption_too_short, such as "cat" and "sun"',
        'left out 2 as duplicate, such as "a hand"',
    ]
    assert list(most_dropped(STEPS[:1])) == [
        'left out 1 as missing_file, such as "missing_file.png"'
    ]


def test_more_than_a_fifth_of_a_folder_is_said_with_the_rule_and_what_to_set():
    found = too_much(STEPS, "folder")
    assert found.startswith(
        "23 of the 100 pairs of the folder are dropped (23 %), 16 of them as near_duplicate, such "
        'as "a hand: dark" and "a hand: light": to keep these, set filter.near_same_caption=true'
    )
    assert too_much(STEPS, "urls") is None
    assert too_much([*STEPS[:3], step("near_duplicate", 13), STEPS[4]], "folder") is None


def test_each_reason_has_a_remedy_that_names_settings_that_are_there():
    own = {f"filter.{name}" for name in FilterSettings.model_fields}
    for reason in REASONS:
        named = {word.strip(",").partition("=")[0] for word in remedy(reason).split()}
        settings = {word for word in named if word.startswith("filter.")}
        assert settings <= own, reason
        assert remedy(reason)
    assert remedy("caption_too_short") == "lower filter.min_chars and filter.min_words"
    assert remedy("too_elongated") == "raise filter.max_aspect"
    assert "stages/crawl/README.md" in remedy("missing_file")


@pytest.mark.ray
def test_what_the_rules_of_the_web_drop_of_a_folder_stays_under_small(
    ray_cluster, tmp_path, caplog
):
    """Thirty tints of ten pictures, with names of one word; then copies, which go."""
    tints = [(0, 0), (35, -25), (-25, 35)]
    chosen = [tinted(n, *tint) for n in range(10) for tint in tints]
    found = [
        pair(n, image=jpeg(picture), caption=f"lamp{n}", source=None)
        for n, picture in enumerate(chosen)
    ]
    copies = [jpeg(picture.resize((120, 120)), quality=60) for picture in chosen[:5]]
    found += [
        pair(30 + n, image=copy, caption=f"Lamp{n}", width=120, height=120)
        for n, copy in enumerate(copies)
    ]
    inputs = pairs_folder(tmp_path / "pairs", found)
    changes = {"side": 64, "buckets": 2, "validation_share": 0.2}
    small, web = open_folder(tmp_path / "small"), open_folder(tmp_path / "web")
    with caplog.at_level("INFO"):
        kept = filter_stage.run(inputs, small, SMALL.model_copy(update=changes))
    assert reasons(small) == {row["key"]: "near_duplicate" for row in found[30:]}
    assert kept.health["warning"] is None
    assert 'filter       left out 5 as near_duplicate, such as "Lamp' in caplog.text
    rules = SMALL.model_copy(update=changes | {"near_colour": None, "near_same_caption": False})
    assert filter_stage.run(inputs, web, rules).rows_out == 10
