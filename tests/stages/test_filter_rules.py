"""Each rule alone, then what must hold for any caption."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import rows
from schemas.settings import FilterSettings
from stages.filter.rules import why_drop
from stages.measure.boilerplate import boilerplate_share
from stages.measure.cleaning import clean_caption
from tests.stages import labelled

CFG = FilterSettings(side=64)
GOOD = "a red kite over a green field"


def judged(caption=GOOD, *, width=80, height=80, english=0.9, contrast=50.0, cfg=CFG, **scores):
    caption = clean_caption(caption)
    found = dict.fromkeys(field.name for field in rows.SCORES) | {
        "chars": len(caption),
        "words": len(caption.split()),
        "english": english,
        "boilerplate": boilerplate_share(caption),
        "aspect": max(width, height) / min(width, height),
        "short_side": min(width, height),
        "contrast": contrast,
    }
    return why_drop(found | scores, cfg.model_dump())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"caption": None}, "caption_missing"),
        ({"caption": " \n\t "}, "caption_missing"),
        ({"caption": "a b"}, "caption_too_short"),  # 3 characters
        ({"caption": "kites"}, "caption_too_short"),  # 1 word
        ({"caption": "big kite"}, None),
        ({"caption": "kite " * 250}, "caption_too_long"),
        ({"caption": "photographed on 3 May 2019"}, "boilerplate"),
        ({"english": 0.19}, "not_english"),
        ({"english": 0.2}, None),
        ({"width": 63}, "too_small"),
        ({"width": 64, "height": 128}, None),  # 2, the paper's limit, is still good
        ({"width": 64, "height": 129}, "too_elongated"),
        ({"contrast": None}, "undecodable"),
        ({"contrast": 4.9}, "flat"),
        ({"contrast": 5.0}, None),
        ({"nsfw": 0.51}, "nsfw"),
        ({"nsfw": 0.5}, None),
        ({"writing": 0.21}, "writing"),
        ({"writing": 0.2}, None),
        ({"watermark": "alamy"}, "watermark"),
        ({"clip_score": 0.27}, "caption_disagrees"),
        ({"clip_score": 0.28}, None),
        ({"caption_pictures": 101}, "caption_repeated"),
        ({"caption_pictures": 100}, None),
        ({"overlaps": "coco-val"}, "evaluation_overlap"),
        ({"caption": None, "english": 0.0, "width": 8}, "caption_missing"),  # the first rule
    ],
)
def test_the_first_broken_rule_is_named(changes, reason):
    assert judged(**changes) == reason


@pytest.mark.parametrize(
    "caption",
    [
        "photographed on 12 January 2018",
        "Photographed on January 12, 2018",
        "photo taken on 12th of January, 2018",
        "Photographed on 2018-01-12",
        "photographed on 12/01/2018",
        "photographed on 12.1.18 at 14:05",
        "Taken on Friday, 3 May 2019",
        "photographed in May 2019",
        "This photo was taken on the 3rd of May 2019",
        "uploaded 2019-05-03 10:22:15",
        "my dog photographed on 12 January 2018",
        "IMG_20190503_1234.jpg",
        "DSC01234",
        "DSC 0042",
        "holiday-photo-12.jpeg",
        "https://example.com/a/b?c=d",
        "www.example.com",
        "#love #instagood @someone",
        "Image may contain: one or more people, outdoor",
        "No photo description available.",
        "click here to enlarge this picture",
        "View larger image",
        "image 3 of 17",
        "Untitled",
        "© 2019 All rights reserved",
        "stock photo",
        "!!! ??? ...",
    ],
)
def test_boilerplate_is_known(caption):
    assert labelled.is_boilerplate(caption)


@pytest.mark.parametrize(
    "caption",
    [
        GOOD,
        "a red kite over a wide green field in the late summer sun, photographed on 3 May 2019",
        "a picture of a blue circle on the left",
        "may flowers in the garden",
        "a photo of three people at a table",
        "the image of a saint above the door",
        "men march through the old town",
        "a plane added to the museum's collection in 2014 stands in the hall",
        "an image with a small black star in the middle",
        "tokyo skyline at night",
    ],
)
def test_captions_that_say_something_stay(caption):
    assert not labelled.is_boilerplate(caption)
    assert judged(caption) is None


@given(st.text(min_size=1), st.integers(0, 20))
def test_a_stricter_limit_never_keeps_more(text, more):
    strict = CFG.model_copy(update={"min_chars": CFG.min_chars + more, "max_aspect": 1.5})
    if judged(text, width=90, height=120, cfg=strict) is None:
        assert judged(text, width=90, height=120) is None
