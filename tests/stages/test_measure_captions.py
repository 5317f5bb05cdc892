"""The caption filters against labels, and against captions of every script and shape."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.demo.world_site import FOREIGN
from schemas import rows
from schemas.settings import FilterSettings
from stages import shapes
from stages.filter.rules import REASONS, why_drop
from stages.measure.boilerplate import boilerplate_share
from stages.measure.cleaning import clean_caption
from stages.measure.language import Language, evidence
from tests.stages import labelled

CFG = FilterSettings(side=64)
ALIKE = dict.fromkeys(field.name for field in rows.SCORES) | {"contrast": 50.0}
LANGUAGE = Language()
HELD = [row for row in labelled.captions() if row.held]
LONGEST = 100_000  # characters


def is_english(caption):
    return LANGUAGE.english(caption) >= CFG.min_english


def test_english_is_told_from_other_languages_on_the_held_half():
    found = labelled.compare(HELD, lambda row: row.english, is_english)
    assert found.recall >= 0.90  # measured: 0.929; one reading alone: 0.878
    assert found.precision >= 0.97  # measured: 0.986
    assert len(found.wrong_yes) <= 7  # measured: 4 of 104 foreign captions let in


def test_boilerplate_is_told_from_captions_on_the_held_half():
    rows = [row for row in HELD if row.english is not False]  # others go for their language
    found = labelled.compare(rows, lambda row: row.boilerplate, labelled.is_boilerplate)
    assert found.precision >= 0.97  # measured: 1.000
    assert found.recall >= 0.77  # measured: 0.813; of the kinds written after the patterns: 0.613


def test_english_is_told_from_other_languages_on_stamps():
    rows = [row for row in labelled.stamps() if row.held]
    if not rows:
        pytest.skip(f"no {labelled.STAMPS}: install Debian's tuxpaint-stamps-default")
    found = labelled.compare(rows, lambda row: row.english, is_english)
    foreign = found.right_no + len(found.wrong_yes)
    assert found.recall >= 0.88  # measured: 0.909; one reading alone: 0.877
    assert len(found.wrong_yes) / foreign <= 0.07  # measured: 0.062; one reading alone: 0.080
    says_little = [
        row.caption for row in rows if row.english and labelled.is_boilerplate(row.caption)
    ]
    assert len(says_little) <= 3, says_little


@pytest.mark.parametrize(
    ("words", "lost", "let_in"),  # shares at most; by the model alone 0.15, 0.06 of two
    [(2, 0.02, 0.03), (3, 0, 0.04), (4, 0, 0)],
)
def test_short_captions_are_told_by_their_words(words, lost, let_in):
    rows = [row for row in labelled.short_captions() if len(row.caption.split()) == words]
    found = labelled.compare(rows, lambda row: row.english, is_english)
    assert 1 - found.recall <= lost, found.wrong_no
    foreign = found.right_no + len(found.wrong_yes)
    assert foreign == 0 or len(found.wrong_yes) / foreign <= let_in, found.wrong_yes


def test_the_short_captions_are_many():
    rows = labelled.short_captions()
    english = [row for row in rows if row.english]
    assert min(len(english), len(rows) - len(english)) >= 300
    assert len({row.kind for row in rows}) >= 11


@pytest.mark.parametrize(
    ("caption", "says"),
    [
        ("a dog", 1), ("a man", 1), ("a hand", 1), ("die hand", -0.5), ("hand", 0), ("a kutya", 0),
        ("two wombats", 0.5), ("the boy's dogs", 1), ("un chat", -0.5),
        ("on the table today", 0.75),
        ("a dog on the grass", 0), ("", 0),
    ],
)  # fmt: skip
def test_words_say_what_only_english_can_be(caption, says):
    assert evidence(caption.split()) == says


def test_both_halves_are_large_and_nothing_is_said_twice():
    rows = labelled.captions()
    assert len({row.caption for row in rows}) == len(rows)
    assert len(HELD) >= 300
    assert len(rows) - len(HELD) >= 300


def test_what_the_demo_says_is_kept_and_what_it_spoils_is_dropped():
    said = {shapes.scene(seed=0, index=index).caption for index in range(2_000)}
    assert [caption for caption in said if not is_english(caption)] == []
    assert [caption for caption in said if labelled.is_boilerplate(caption)] == []
    assert [caption for caption in FOREIGN if is_english(caption)] == []


def test_letters_of_another_script_are_never_english():
    assert LANGUAGE.english("ᖁᐸᓄᐊᖅ ᑯᑰ.") == 0  # the model has no word for it, and says 0.21
    assert LANGUAGE.english("") == LANGUAGE.english("12 — 34 😀") == 0
    assert LANGUAGE.english("東京タワー Tokyo Tower seen from Shiba Park at night") > 0.2


def test_controls_and_lone_surrogates_are_no_letters():
    plain = LANGUAGE.english("a small wooden boat on a lake")
    found = LANGUAGE.english("a small\0wooden\nboat \ud800on a\x1b lake")
    assert found == pytest.approx(plain, abs=0.1)


def test_what_is_no_word_is_no_evidence_of_a_language():
    plain = LANGUAGE.english("a small wooden boat on a lake")
    noisy = LANGUAGE.english(
        "a small wooden boat on a lake 😀 #bateau #lac https://example.fr/le-lac"
    )
    assert noisy > 0.8 * plain


@pytest.mark.parametrize(
    ("caption", "share"),
    [
        ("red kite 2019", 4 / 11),
        ("red kite IMG_1234", 7 / 14),
        ("red kite #kites", 5 / 12),
        ("red kite, photographed on 3 May 2019", 22 / 29),
        ("photo gallery", 1),
        ("red photo gallery", 0),  # a page's word counts only where there are no others
        ("", 1),
        ("- / -", 1),
        ("10 / 12", 1),
    ],
)
def test_the_share_counts_letters_and_digits(caption, share):
    assert boilerplate_share(caption) == pytest.approx(share)


def test_words_said_again_and_again_are_boilerplate():
    assert labelled.is_boilerplate("shoes, cheap shoes, buy shoes online, shoes sale, best shoes")
    assert labelled.is_boilerplate("kitchen kitchen ideas kitchen remodel kitchen cabinets")
    assert not labelled.is_boilerplate("red shoes, blue shoes and green shoes in a row on a shelf")
    assert not labelled.is_boilerplate("Fire! Fire! Fire!")  # no run: a person may say so


ATOMS = (
    "1", "1 ", "1.", "1:1", "12 ", "19", "'19 ", "20190101_", "2019-", "2019-05-03 ", "10:10 ",
    "3 May ", "3 May 2019 ", "may ", "mon ", "mon morning ", "sunday the ", "1x", "10x10",
    "#", "# ", "(", "( ", ") ", " ", "\n", "-", "_", "//", "a", "a ", "A ", "A. ", "a.", "a.b.",
    "a-a.", "a.com/", "f", "f-", "a1", "img", "img_", "img_ ", "IMG 1", "photo ", "photo by ",
    "photo by A ", "photo of ", "photo credit: ", "taken by a ", "taken by a b c", "shot ",
    "click on ", "click here to ", "view larger ", "stock ", "stock photo ", "royalty free ",
    "- vector ", "copyright ", "© ", "(c)", "shutterstock ", "image may contain ", "é", "海", "😀",
    "\u0301", "\u0301\u0316", "\u0344", "\u200f", "\u202e", "&amp;", "&", "&#x", "amp;", "\0",
    "\ud800",
)  # fmt: skip


def test_time_is_in_proportion_to_the_caption():
    """What takes milliseconds takes minutes where a filter is quadratic."""
    program = (
        "from tests.stages import test_measure_captions as t\n"
        "for atom in t.ATOMS:\n"
        "    t.judged('&' * (atom == 'amp;') + atom * (3 * t.LONGEST // len(atom)))\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, cwd=root)


def judged(caption):
    """Ask every caption filter; check what must hold for any caption."""
    cleaned = clean_caption(caption)
    assert clean_caption(cleaned) == cleaned == " ".join(cleaned.split())
    for text in (caption or "", cleaned):
        english, share = LANGUAGE.english(text), boilerplate_share(text)
        assert 0 <= english <= 1
        assert 0 <= share <= 1
        scores = {"chars": len(text), "words": len(text.split()), "english": english}
        why = why_drop(ALIKE | scores | {"boilerplate": share}, CFG.model_dump())
        assert why is None or why in REASONS
    return cleaned


def repeated(atom):
    """Repeat it to some length up to the longest."""
    return st.integers(1, LONGEST // len(atom)).map(lambda times: atom * times)


SCRIPTS = (
    "Latin", "Ελληνικά", "Кириллица", "العربية", "हिन्दी", "বাংলা", "தமிழ்", "ไทย", "ქართული",
    "Հայերեն", "አማርኛ", "ខ្មែរ", "汉字", "かな", "한국어", "ᐃᓄᒃᑎᑐᑦ", "\u202eright to left\u202c",
    "\u200f\u05e9\u05dc\u05d5\u05dd\u200e", "e\u0301\u0323", "👩🏽\u200d🚀", "🇫🇷", "\ufeff",
    "\u2028", "\ud83d", "&lt;",
)  # fmt: skip
CAPTIONS = st.one_of(
    st.none(),
    st.text(st.characters()),  # any code point, surrogates too
    st.lists(st.sampled_from(SCRIPTS + ATOMS)).map("".join),
    st.lists(st.sampled_from(SCRIPTS + ATOMS)).map(" ".join),
    st.sampled_from(SCRIPTS + ATOMS).flatmap(repeated),
)


@given(CAPTIONS)
@example("&" + "amp;" * 20)
@example("&alpha\u037e")  # composing turns this into a semicolon, and the whole into a letter
@example("&am&#1;p;")
@example("a" + "\u0344\u0316" * 50)
def test_any_caption_is_judged(caption):
    judged(caption)


@pytest.mark.soak
@settings(max_examples=20_000)
@given(CAPTIONS)
def test_very_many_captions_are_judged(caption):
    judged(caption)


def test_cleaning_undoes_what_pages_do():
    assert clean_caption(" fish &amp;amp;\n chips\t&quot;hot&quot; ") == 'fish & chips "hot"'
    assert clean_caption("cafe\u0301\u0000noir\u2028") == "café noir"
    assert clean_caption(None) == clean_caption("\ud800 \n") == ""
    on_purpose = "👩🏽\u200d🚀 שלום\u200f"
    assert clean_caption(on_purpose) == on_purpose
