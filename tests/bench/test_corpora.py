"""Corpora from packages: captions, squares on white, and what is left out."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.bench.corpora import CORPORA, clip_art, file_words, main, square, stamps, toned


def put(file, *, size=(64, 64), colour=(200, 30, 30, 255)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", size, colour).save(file)


def test_skin_tones_are_said_in_order():
    assert toned("wrestlers", "1F3FB-1F3FF") == "wrestlers: light skin tone, dark skin tone"
    assert toned("ghost", "") == "ghost"


@pytest.mark.parametrize(
    ("stem", "authors", "words"),
    [
        ("torta_architetto_frances_01", ["architetto", "francesco"], "torta"),
        ("stack_of_books_01", ["ganson"], "stack of books"),
        ("star_92pt07step", [], "star pt step"),
        ("08", [], "08"),
        ("nicu_01", ["nicu"], "nicu"),  # something must be left
    ],
)
def test_a_files_words_are_without_number_and_author(stem, authors, words):
    assert file_words(stem, authors) == words


def test_a_square_is_white_around_the_picture_and_not_too_large():
    red = np.full((10, 30, 3), [200, 0, 0], np.uint8)
    made = square(red)
    assert made.shape == (30, 30, 3)
    assert (made[10:20] == red[0, 0]).all()
    assert (made[:10] == 255).all()
    assert (made[20:] == 255).all()
    assert square(np.zeros((300, 600, 3), np.uint8)).shape == (256, 256, 3)


def test_emoji_become_pictures_on_white_with_a_caption_each(tmp_path, capsys):
    tux = {"skin_variations": {"1F3FF": {"image": "tux-dark.png"}}}
    listed = [
        {"name": "MAN IN TUXEDO", "short_name": "person_in_tuxedo", "image": "tux.png"} | tux,
        {"name": "MAN IN TUXEDO", "short_name": "man_in_tuxedo", "image": "man.png"},
        {"name": "GHOST", "short_name": "ghost", "image": "ghost.png"},
        {"name": "GHOST", "short_name": "ghost", "image": "not-drawn.png"},
        {"name": "Dot", "short_name": "dot", "image": "dot.png"},
    ]
    package = tmp_path / "package"
    for name in ("tux", "tux-dark", "man"):
        put(package / f"img/google/64/{name}.png")
    put(package / "img/google/64/ghost.png", colour=(0, 0, 0, 0))
    put(package / "img/google/64/dot.png", size=(16, 16))
    (package / "emoji.json").write_text(json.dumps(listed))
    command = ["emoji", "--package", str(tmp_path), "--to", str(tmp_path / "made")]
    assert main(command) == 0
    assert "4 pictures" in capsys.readouterr().out
    captions = [file.read_text() for file in sorted((tmp_path / "made").glob("*.txt"))]
    assert captions == [
        "person in tuxedo\n", "person in tuxedo: dark skin tone\n", "man in tuxedo\n", "ghost\n",
    ]  # fmt: skip
    (ghost,) = (tmp_path / "made").glob("*ghost.png")
    assert (np.asarray(Image.open(ghost)) == 255).all()
    assert main(command) == 2
    assert "wanted an empty folder" in capsys.readouterr().err


def test_the_same_stamp_is_there_once_and_by_its_sentence(tmp_path):
    for name in ("iron", "iron_mirror", "tux-drat", "sub/iron"):
        put(tmp_path / f"{name}.png")
    for name in ("iron", "sub/iron"):
        (tmp_path / f"{name}.txt").write_text("An iron.\nde.utf8=Ein Eisen.\n")
    found = [(str(file.relative_to(tmp_path)), caption) for file, caption in stamps(tmp_path)]
    assert found == [
        ("iron.png", "An iron."),
        ("sub/iron.png", "An iron."),
        ("tux-drat.png", "tux drat"),
    ]


def test_a_title_that_names_a_collection_is_no_caption(tmp_path):
    metadata = "<svg><metadata><dc:title>{}</dc:title><dc:title>Rory McCann</dc:title></metadata>"
    listed = {
        "animals/birds/crow_01": "Crow &amp; egg",
        **{f"icons/mail_{n}_rory_mcc_0{n}": "Flat icons" for n in range(4)},
        "shapes/stars/star_1": "gramastar",
    }
    for name, title in listed.items():
        put(tmp_path / f"png/{name}.png")
        (tmp_path / f"svg/{name}.svg").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"svg/{name}.svg").write_text(metadata.format(title))
    captions = [caption for _, caption in clip_art(tmp_path)]
    assert captions == ["crow & egg, animals, birds", *["mail, icons"] * 4]


@pytest.mark.parametrize("name", CORPORA)
def test_an_absent_package_is_one_sentence_that_says_how_to_get_it(name, tmp_path, capsys):
    assert main([name, "--package", str(tmp_path), "--to", str(tmp_path / "made")]) == 2
    said = capsys.readouterr().err
    assert "get it by" in said
    assert said.count("\n") == 1
