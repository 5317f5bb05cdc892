"""What feature networks say of drawings: known copies, known distances, and both on the page."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from infra.store import open_folder
from schemas import rows
from schemas.artifacts import CLIP
from stages import shapes
from stages.data.parquet import PICTURE_FILE, parquet_bytes
from stages.evaluate.baselines.drawings import KeptPrompt
from stages.evaluate.by_network import PictureSets, by_networks
from stages.evaluate.by_network.distances import evenly
from stages.evaluate.by_network.seen import look
from stages.evaluate.page import Gallery, render
from stages.features.thumbnail import thumbnail
from stages.metrics.blur import gaussian_blur
from stages.metrics.planted import PLANTED
from stages.pictures import encode_png
from tests import tiny_run
from tests.stages.photographs import photograph
from tests.stages.reports import small_report
from tests.stages.small_network import SIDE, looks, network

COPIES, ALL = {"copies"}, {"copies", "distances"}


def photographs(first, count):
    return [photograph(seed, SIDE, SIDE) for seed in range(first, first + count)]


def blurred(pictures, radius):
    return [gaussian_blur(picture, radius) for picture in pictures]


def world(first, count):
    return [shapes.draw(shapes.scene(0, n), SIDE) for n in range(first, first + count)]


TRAINING, HELD_OUT = photographs(0, 150), photographs(1_000, 120)


def training_pairs(folder, pngs):
    template = tiny_run.clean_rows("train")[0]
    table = [
        template | {"key": str(n), "caption": f"number {n}", "image": png}
        for n, png in enumerate(pngs)
    ]
    made = pa.Table.from_pylist(table, schema=rows.CLEAN_PAIR)
    folder.commit("train/shard-00000.parquet", parquet_bytes(made, PICTURE_FILE))
    return folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Training pairs, of which the second cannot be decoded."""
    pngs = [encode_png(picture) for picture in TRAINING]
    pngs.insert(1, b"not a picture")
    return training_pairs(open_folder(tmp_path_factory.mktemp("clean")), pngs)


def sets(clean, favourite, **others):
    honest = photographs(2_000, len(favourite))
    found = PictureSets(
        held_out=HELD_OUT,
        reconstructions=blurred(HELD_OUT, 1),
        prompts=[f"prompt {n}" for n in range(len(favourite))],
        first=honest,
        favourite=favourite,
        nearest=TRAINING[:30],
        clean=clean,
        side=SIDE,
    )
    return replace(found, **others)


def test_copies_are_found_and_shown_beside_what_was_copied(clean):
    copies = [plant(TRAINING[n]) for n, plant in enumerate(PLANTED.values(), start=10)]
    pictures = sets(clean, [*photographs(3_000, 36), *copies])
    figures, pairs = look(thumbnail(), pictures, COPIES)
    found = figures.copies
    assert figures.distances == {}
    assert found.drawn["favourite"]["closer_than_any"].share >= 4 / 40
    assert found.drawn["favourite"]["as_close_as_planted"].share == 4 / 40
    low, high = found.drawn["favourite"]["as_close_as_planted"].interval
    assert low < 4 / 40 < high
    assert found.drawn["first"]["as_close_as_planted"].share == 0
    assert found.words.startswith("10.0 % of the favourites")
    assert "(exact, flipped, brightened, reencoded) are told from" in found.words
    assert {pair.prompt for pair in pairs[:4]} == {f"prompt {n}" for n in range(36, 40)}
    for pair in pairs[:4]:  # one row before them is no picture
        place = 10 + int(pair.prompt.removeprefix("prompt ")) - 36
        assert pair.caption == f"number {place + 1}"
        assert np.array_equal(pair.training, TRAINING[place])
    assert [one.caption for one in found.suspects] == [pair.caption for pair in pairs]
    assert found.suspects[3].distance <= found.thresholds["as_close_as_planted"]


@pytest.mark.parametrize("corpus", [photographs, world])
def test_thumbnails_find_every_kind_of_copy_and_accuse_hardly_a_held_out_picture(corpus, tmp_path):
    clean = training_pairs(open_folder(tmp_path), [encode_png(p) for p in corpus(0, 300)])
    pictures = sets(clean, corpus(2_000, 8), held_out=corpus(1_000, 400), nearest=[])
    found = look(thumbnail(), pictures, COPIES).figures.copies
    assert list(found.planted) == ["exact", "flipped", "brightened", "reencoded"]
    for kind, shares in found.planted.items():
        assert shares["closer_than_1st_percentile"] >= 0.98, kind  # at most 1 of 64 is missed
    assert found.false_alarms["closer_than_any"] < 0.01
    assert found.false_alarms["as_close_as_planted"] < 0.01


def test_where_held_out_pictures_are_training_pictures_the_words_say_what_to_hold_against(clean):
    repeated = [*HELD_OUT[:20], *TRAINING[:100]]
    copies = [TRAINING[50], *photographs(3_000, 3)]
    found = look(thumbnail(), sets(clean, copies, held_out=repeated), COPIES).figures.copies
    assert found.thresholds["closer_than_1st_percentile"] < 1e-6
    assert found.false_alarms["as_close_as_planted"] == pytest.approx(5 / 6, abs=0.1)
    assert found.words.startswith("25.0 % of the favourites")
    assert "there are near duplicates" in found.words
    assert "are told from" not in found.words


def test_near_duplicates_among_held_out_pictures_set_no_threshold(clean):
    """Mirrored and encoded again they are copies, of which no threshold tells copies."""
    repeated = [PLANTED["flipped"](PLANTED["reencoded"](picture)) for picture in TRAINING[:30]]
    copies = [*map(PLANTED["reencoded"], TRAINING[50:60]), *photographs(3_000, 30)]
    pictures = sets(clean, copies, held_out=[*HELD_OUT, *repeated])
    found = look(thumbnail(), pictures, COPIES).figures.copies
    assert found.near_duplicates == 31  # one by chance
    assert found.held_out_pictures == 150
    assert found.drawn["favourite"]["as_close_as_planted"].share == 10 / 40
    assert found.held_out["as_close_as_planted"].share == 30 / 150
    assert found.false_alarms["as_close_as_planted"] == 0
    assert all(shares["as_close_as_planted"] == 1 for shares in found.planted.values())
    assert "(all but 31 of 150). So copies" in found.words


def test_a_network_that_cannot_tell_copies_says_so(clean):
    grey = network(lambda pictures: pictures.mean(dim=(1, 2, 3))[:, None])
    found = look(grey, sets(clean, photographs(3_000, 20)), COPIES).figures.copies
    assert found.false_alarms["as_close_as_planted"] > 0.5
    assert "or to this network they are alike" in found.words


def test_distances_are_of_equal_numbers_and_rise_with_what_is_done_to_pictures(clean):
    favourite = [picture // 3 for picture in photographs(3_000, 100)]
    by_colour = network(looks)
    figures, _ = look(by_colour, sets(clean, favourite, nearest=photographs(4_000, 50)), ALL)
    at = {name: one.at_count for name, one in figures.distances.items()}
    assert {value.count for value in at.values()} == {50}
    assert {value.metric for value in at.values()} == {"fd"}
    assert at["first"].reference.count == 120
    assert at["first"].network == by_colour.network
    assert "of only 50 drawn and 120 reference pictures" in at["first"].flag
    assert at["training"].value < at["favourite"].value / 2
    assert at["reconstructions"].value < at["favourite"].value
    for one in figures.distances.values():
        low, high = one.without_bias.interval
        assert low < one.without_bias.value < high
        assert one.without_bias.value < one.at_count.value


def test_pictures_are_taken_evenly():
    features = np.arange(10.0)[:, None]
    assert evenly(features, 5).ravel().tolist() == [0, 2, 4, 6, 8]
    assert evenly(features, 10).ravel().tolist() == list(range(10))


def test_without_held_out_pictures_nothing_is_said(clean, inputs):
    nothing = sets(clean, photographs(3_000, 4), held_out=[], reconstructions=[])
    assert list(by_networks(inputs.folder(CLIP), "", nothing)) == []


def test_without_drawings_real_pictures_are_still_measured(clean):
    nothing = sets(clean, [], nearest=[])
    figures, pairs = look(network(looks), nothing, ALL)
    assert figures.distances.keys() == {"training", "reconstructions"}
    assert (figures.copies, pairs) == (None, [])


def test_forgotten_pictures_are_left_out():
    png = encode_png(shapes.draw(shapes.scene(0, 0), SIDE))
    kept = [
        KeptPrompt(text, "seen", first, png, judgement=None, choice=None)
        for text, first in (("a", None), ("b", png))
    ]
    found = PictureSets.of(kept, [None, HELD_OUT[0]], (), None, SIDE)
    assert (found.prompts, len(found.favourite), len(found.nearest)) == (["b"], 1, 1)


def test_the_page_shows_suspects_and_distances(clean):
    figures, pairs = look(network(looks), sets(clean, [*photographs(3_000, 9), TRAINING[7]]), ALL)
    report = small_report().model_copy(update={"networks": (figures,)})
    page = render(report, Gallery(suspects=[pairs]))
    section = page[page.index('id="networks"') : page.index('id="checks"')]
    assert "“prompt 9”, below “number 8”" in section
    assert section.count("data:image/png") == 2 * len(pairs)
    assert "planted copies: brightened" in section
    assert '<th class="n">as close as copies</th>' in section
    elsewhere = "are not the captions of"
    assert elsewhere in section
    counts = report.samples.model_copy(update={"prompts": {"validation": 4}})
    report = report.model_copy(update={"samples": counts})
    assert elsewhere not in render(report, Gallery(suspects=[pairs]))
    assert "Numbers: <code>networks</code> in report.json" in section
    assert "training pictures: the floor" in section
    assert 'id="networks"' not in render(small_report(), Gallery())
