"""The quick search finds what comparing each with each finds."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from stages.filter import blocks, near
from stages.filter.blocks import Group, search
from stages.filter.near import MAX_DISTANCE, clusters, nearest_within


def hashes_of(*numbers):
    return np.array(numbers, np.uint64)


def drawn(rng, count):
    return rng.integers(0, 2**64, count, dtype=np.uint64)


def flipped(value, bits):
    return int(value) ^ sum(1 << int(bit) for bit in bits)


def planted(rng, count, farthest, among=64):
    """Random hashes of which half are copies with up to `farthest` bits flipped, in any order."""
    hashes = drawn(rng, count)
    for at in range(count // 2, count):
        bits = rng.permutation(among)[: rng.integers(0, farthest + 1)]
        hashes[at] = flipped(hashes[rng.integers(0, at)], bits)
    return rng.permutation(hashes)


def close(left, right, distance):
    return np.bitwise_count(left[:, None] ^ right[None]) <= distance


def clusters_slowly(hashes, distance):
    _, labels = connected_components(close(hashes, hashes, distance), directed=False)
    first = {}
    for index, label in enumerate(labels):
        first.setdefault(label, index)
    return [first[label] for label in labels]


def nearest_slowly(hashes, reference, distance):
    near_ones = close(hashes, reference, distance)
    return np.where(near_ones.any(1), near_ones.argmax(1), -1).tolist()


def pairs_slowly(values, distance):
    a, b = np.nonzero(np.triu(close(values, values, distance), 1))
    return set(zip(a.tolist(), b.tolist(), strict=True))


def pairs_of(values, distance):
    found = set()
    for a, b in search(Group.one(values), distance):
        found |= {(min(pair), max(pair)) for pair in zip(a.tolist(), b.tolist(), strict=True)}
    return found


@pytest.mark.parametrize("distance", range(MAX_DISTANCE + 1))
@pytest.mark.parametrize("count", [2, 3, 10, 100, 1500])
def test_everything_near_is_found(count, distance):
    rng = np.random.default_rng(count + distance)
    hashes = planted(rng, count, distance + 2)
    assert clusters(hashes, distance).tolist() == clusters_slowly(hashes, distance)
    reference = np.concatenate([drawn(rng, 20), planted(rng, count, 2)[: count // 2], hashes[:1]])
    found = nearest_within(hashes, reference, distance)
    assert found.tolist() == nearest_slowly(hashes, reference, distance)


@pytest.mark.parametrize("distance", [1, 3, 6])
@pytest.mark.parametrize("differing", [4, 9, 14, 20])
def test_hashes_that_share_most_bits_are_told_apart_by_the_others(differing, distance):
    rng = np.random.default_rng(differing)
    places = rng.permutation(64)[:differing]
    hashes = hashes_of(
        *(flipped(0x0123456789ABCDEF, places[rng.random(differing) < 0.3]) for _ in range(2000))
    )
    assert clusters(hashes, distance).tolist() == clusters_slowly(hashes, distance)
    found = nearest_within(hashes, hashes[500:900], distance)
    assert found.tolist() == nearest_slowly(hashes, hashes[500:900], distance)
    distinct = np.unique(hashes)
    assert pairs_of(distinct, distance) == pairs_slowly(distinct, distance)


@pytest.fixture
def _many_tables(monkeypatch):
    """Small limits, so that few hashes go the way of many: long keys, long runs, small pieces."""
    monkeypatch.setattr(blocks, "COMPARE", 100)
    monkeypatch.setattr(blocks, "SHORT_RUN", 2)
    monkeypatch.setattr(blocks, "BLOCK", 3)
    monkeypatch.setattr(blocks, "TRIED", 10)
    monkeypatch.setattr(blocks, "AT_ONCE", 7)
    monkeypatch.setattr(near, "PENDING", 5)


@pytest.mark.usefixtures("_many_tables")
@pytest.mark.parametrize("distance", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("among", [6, 16, 64])
def test_everything_near_is_found_by_the_way_of_many(among, distance):
    rng = np.random.default_rng(among + distance)
    hashes = np.concatenate([drawn(rng, 5), planted(rng, 100, distance, among)])
    hashes[::2] &= np.uint64(0xFFFF_0000_FFFF_FFFF)
    assert clusters(hashes, distance).tolist() == clusters_slowly(hashes, distance)
    found = nearest_within(hashes, hashes[70:], distance)
    assert found.tolist() == nearest_slowly(hashes, hashes[70:], distance)
    distinct = np.unique(hashes)
    assert pairs_of(distinct, distance) == pairs_slowly(distinct, distance)


NEIGHBOURLY = st.lists(
    st.tuples(st.sampled_from([0, 2**64 - 1, 0xAAAA_5555_0F0F_3C3C]), st.sets(st.integers(0, 63)))
)


@given(NEIGHBOURLY, NEIGHBOURLY, st.integers(0, MAX_DISTANCE))
def test_any_hashes(ours, theirs, distance):
    hashes = hashes_of(*(flipped(value, bits) for value, bits in ours))
    reference = hashes_of(*(flipped(value, bits) for value, bits in theirs))
    assert nearest_within(hashes, reference, distance).tolist() == (
        nearest_slowly(hashes, reference, distance) if len(reference) else [-1] * len(hashes)
    )
    if len(hashes):
        assert clusters(hashes, distance).tolist() == clusters_slowly(hashes, distance)


def test_three_flips_anywhere_are_found():
    centre = 0xFEDC_BA98_7654_3210
    around = [flipped(centre, bits) for bits in combinations(range(64), 3)]
    assert len(around) == 41_664
    hashes = hashes_of(*around, centre)
    with_centre = {min(pair) for pair in pairs_with(hashes, 41_664)}
    assert len(with_centre) == 41_664
    assert not clusters(hashes).any()
    assert (nearest_within(hashes, hashes_of(1, centre), 3) == 1).all()
    # A fourth flip is one too many: without the centre's neighbours nothing would join them.
    far = hashes_of(centre, *(flipped(centre, bits) for bits in combinations(range(0, 64, 4), 4)))
    assert (nearest_within(far, hashes_of(centre), 3)[1:] == -1).all()


def pairs_with(values, index):
    for a, b in search(Group.one(values), 3):
        with_it = (a == index) | (b == index)
        yield from zip(a[with_it].tolist(), b[with_it].tolist(), strict=True)


def test_a_chain_is_one_cluster_and_is_named_after_its_first():
    far = 0xFFFF_FFFF_0000_0000
    hashes = hashes_of(far, 0b111_111_111, 0, 0b111, 0b111_111, far ^ 1)
    assert clusters(hashes, 3).tolist() == [0, 1, 1, 1, 1, 0]
    assert clusters(hashes, 2).tolist() == [0, 1, 2, 3, 4, 0]


def test_equal_hashes():
    assert not clusters(np.full(100_000, 7, np.uint64)).any()
    assert clusters(hashes_of(5, 9, 5, 9), 0).tolist() == [0, 1, 0, 1]
    assert nearest_within(hashes_of(9, 5), hashes_of(5, 9, 9), 0).tolist() == [1, 0]


def test_the_lowest_index_wins_over_the_nearest():
    assert nearest_within(hashes_of(0), hashes_of(0xFF, 0b11, 0), 3).tolist() == [1]


def test_none_and_one():
    none, one = hashes_of(), hashes_of(3)
    assert clusters(none).tolist() == []
    assert clusters(one).tolist() == [0]
    assert nearest_within(none, one, 3).tolist() == []
    assert nearest_within(one, none, 3).tolist() == [-1]
    assert nearest_within(one, one, 3).tolist() == [0]


@pytest.mark.parametrize("distance", [-1, MAX_DISTANCE + 1])
def test_a_distance_that_is_no_distance_is_refused(distance):
    with pytest.raises(ValueError, match=f"0 to {MAX_DISTANCE} bits, got {distance}"):
        clusters(hashes_of(1, 2), distance)
    with pytest.raises(ValueError, match="bits"):
        nearest_within(hashes_of(1), hashes_of(1), distance)


def test_the_order_of_the_hashes_does_not_matter():
    rng = np.random.default_rng(0)
    hashes = planted(rng, 20_000, 3)
    labels = clusters(hashes)
    assert (clusters(hashes) == labels).all()
    shuffle = rng.permutation(len(hashes))
    shuffled = clusters(hashes[shuffle])
    # The same parts, whatever the names: each old label meets just one new label.
    pairs = np.unique(np.stack([labels[shuffle], shuffled]), axis=1)
    assert pairs.shape[1] == len(np.unique(labels)) == len(np.unique(shuffled))


@pytest.mark.parametrize("distance", range(MAX_DISTANCE + 1))
@pytest.mark.parametrize("agreeing", range(blocks.MOST_AGREEING + 1))
def test_some_key_is_untouched_by_any_flips(distance, agreeing):
    rng = np.random.default_rng(distance)
    keys = blocks._keys_of(range(64), distance, agreeing)
    for _ in range(200):
        differing = set(rng.permutation(64)[:distance].tolist())
        assert any(not differing & set(key) for key in keys)
