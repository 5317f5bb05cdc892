import itertools

import numpy as np
import pytest

from stages.training.order import Order, local_positions

SIZES = (4, 4, 2, 4, 4, 4, 1, 4, 3)  # 30 rows


def stream(order, position, count):
    """The first rows from `position` on, as (epoch, group, row)."""
    found = []
    for window in order.windows(position):
        places = range(max(0, position - window.start), len(window.groups))
        found += [(window.epoch, int(window.groups[p]), int(window.rows[p])) for p in places]
        if len(found) >= count:
            return found[:count]
    raise AssertionError


def test_every_row_is_seen_once_an_epoch_and_epochs_differ():
    order = Order(SIZES, seed=3, window_rows=8)
    rows = stream(order, 0, 90)
    every = {(g, r) for g, size in enumerate(SIZES) for r in range(size)}
    for epoch in range(3):
        seen = rows[30 * epoch : 30 * epoch + 30]
        assert {e for e, _, _ in seen} == {epoch}
        assert {(g, r) for _, g, r in seen} == every
    assert [r[1:] for r in rows[:30]] != [r[1:] for r in rows[30:60]]


def test_the_stream_can_be_entered_anywhere():
    order = Order(SIZES, seed=3, window_rows=8)
    whole = stream(order, 0, 80)
    for position in range(0, 70, 7):
        assert stream(order, position, 10) == whole[position : position + 10]


def test_the_seed_decides_the_order():
    assert stream(Order(SIZES, 1, 8), 0, 30) == stream(Order(SIZES, 1, 8), 0, 30)
    assert stream(Order(SIZES, 1, 8), 0, 30) != stream(Order(SIZES, 2, 8), 0, 30)
    assert stream(Order(SIZES, -1, 8), 0, 30) != stream(Order(SIZES, 2, 8), 0, 30)


def test_a_window_holds_a_bounded_number_of_rows_and_mixes_its_groups():
    order = Order([16] * 40, seed=0, window_rows=64)
    for window in itertools.islice(order.windows(0), 10):
        assert len(window.rows) == 64
        assert len(set(window.groups[:16])) > 1


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_workers_share_a_batch_without_gap_or_overlap(world):
    shares = [local_positions(7, 16, rank=rank, world=world) for rank in range(world)]
    assert sorted(np.concatenate(shares)) == list(range(7 * 16, 8 * 16))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
