"""The text alphabet: nothing is lost, nothing is unknown, dropout is seeded."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import cloudpickle

from stages.models.bpe import Bpe, train_bpe

CAPTIONS = [
    f"A {size} {colour} {shape} on grass"
    for size in ("big", "small")
    for colour in ("red", "green", "blue")
    for shape in ("circle", "square", "star")
]
BPE = train_bpe(CAPTIONS, 310)


@given(st.text())
def test_any_caption_comes_back_lower_cased(caption):
    ids = BPE.encode(caption)
    assert BPE.decode(ids) == caption.lower()
    assert all(0 <= i < 310 for i in ids)


@given(st.text(), st.floats(0.01, 1), st.integers(0, 2**63))
def test_dropout_spells_the_same_caption_in_another_way(caption, dropout, seed):
    ids = BPE.encode(caption, dropout, seed)
    assert BPE.decode(ids) == caption.lower()
    assert ids == BPE.encode(caption, dropout, seed)
    assert len(ids) >= len(BPE.encode(caption))


PARTS = [*"abcdegrsu", " ", " red", " square", "'s", "!", "7", "é", "\t", "\n", "\u00a0", "\x1c"]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join) | st.text())
def test_almost_no_dropout_merges_as_the_library_does(caption):
    assert BPE.encode(caption, 1e-12, 0) == BPE.encode(caption)
    again = f"{caption} {caption}"
    assert BPE.encode(again, 1e-12, 0) == BPE.encode(again)


def test_what_is_remembered_changes_nothing_and_does_not_travel():
    BPE.encode("a big red star", 0.5, 3)
    sent = cloudpickle.dumps(BPE)  # as Ray sends it
    assert len(sent) < 2 * len(BPE.to_json().encode())
    fresh = pickle.loads(sent)
    for seed in range(50):
        assert fresh.encode("a big red star", 0.5, seed) == BPE.encode("a big red star", 0.5, seed)


def test_full_dropout_spells_byte_by_byte():
    assert len(BPE.encode("a red circlé", 1.0)) == len(" a red circlé".encode())


def test_each_merge_is_passed_over_as_often_as_dropout_says():
    bpe = train_bpe(["ab"] * 9, 258)  # learns " a" or "ab", then " ab"
    spelled = [len(bpe.encode("ab", 0.1, seed)) for seed in range(5_000)]
    whole = sum(length == 1 for length in spelled) / 5_000
    assert whole == pytest.approx(0.9 * 0.9, abs=0.02)


def test_words_never_merge_across_spaces():
    assert {len(BPE.encode(word)) for word in ("red", "circle", "grass")} == {1}
    assert BPE.encode("red circle") == BPE.encode("red") + BPE.encode("circle")
    used = {i for caption in CAPTIONS for i in BPE.encode(caption)}
    assert not [i for i in used if " " in BPE.decode([i]).strip()]


def test_a_row_is_cut_off_or_filled_with_pads_that_no_caption_contains():
    ids, length, truncated = BPE.encode_padded("red circle", 4)
    assert ids.dtype == np.uint16
    assert ids.tolist() == [*BPE.encode("red circle"), 310, 310]
    assert (length, truncated) == (2, False)
    assert BPE.pad == BPE.vocab == 310
    assert BPE.decode(ids) == "red circle"
    assert BPE.encode_padded("red circle red circle", 4)[1:] == (4, False)
    cut = BPE.encode_padded("red circle red circle red", 4)
    assert cut[1:] == (4, True)
    assert BPE.decode(cut.ids) == "red circle red circle"


def test_ids_are_exactly_as_many_as_wanted_however_small_the_corpus():
    for captions in ([], ["a"], CAPTIONS):
        bpe = train_bpe(captions, 1_000)
        assert bpe.vocab == 1_000
        assert bpe.decode(bpe.encode("Über größe 红")) == "über größe 红"


def test_the_order_of_the_captions_and_a_round_trip_through_json_change_nothing():
    again = train_bpe(CAPTIONS[::-1], 310)
    assert again.to_json() == BPE.to_json()
    read = Bpe.from_json(BPE.to_json())
    assert read.to_json() == BPE.to_json()
    assert read.vocab == 310
    assert read.encode("a big red star", 0.5, 3) == BPE.encode("a big red star", 0.5, 3)
