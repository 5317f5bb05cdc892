import itertools

import numpy as np
import pytest

from stages.data.order import ROW, Order, share

SIZES = (4, 4, 2, 4, 4, 4, 1, 4, 3)  # 30 rows


def stream(order, position, count):
    """The first rows from `position` on, as (epoch, group, row)."""
    found = []
    for window in order.windows(position):
        for start, group, place in window[max(0, position - window["window"][0]) :].tolist():
            found.append((start // order.total, group, place))
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
        assert len(window) == 64
        assert len(set(window["group"][:16].tolist())) > 1


def test_batches_are_cut_from_the_stream_whatever_their_size():
    order = Order(SIZES, seed=3, window_rows=8)
    whole = [row[1:] for row in stream(order, 0, 100)]
    for size, step in itertools.product((1, 7, 8, 33), (0, 1, 2)):
        batch = next(order.batches(step, size))
        cut = [(group, place) for _, group, place in batch.tolist()]
        assert cut == whole[step * size : (step + 1) * size]


def test_a_batch_has_rows_of_every_group_of_its_window():
    order = Order([1024] * 40, seed=0)
    for batch in itertools.islice(order.batches(0, 128), 320):  # an epoch
        assert len(set(batch["group"].tolist())) == 4


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_workers_share_a_batch_without_gap_or_overlap(world):
    (batch,) = itertools.islice(Order([8] * 6, seed=3, window_rows=8).batches(2, 17), 1)
    shares = [share(batch, rank=rank, world_size=world) for rank in range(world)]
    assert sorted(np.concatenate(shares).tolist()) == sorted(batch.tolist())
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    where = {row: place for place, row in enumerate(batch.tolist())}
    for mine in shares:
        places = [where[row] for row in mine.tolist()]
        assert places == sorted(places)
    assert shares[0].dtype == ROW


def test_a_worker_meets_few_of_the_row_groups():
    (batch,) = itertools.islice(Order([1024] * 40, seed=0).batches(0, 512), 1)
    for rank in range(8):
        assert len(set(share(batch, rank=rank, world_size=8)["group"].tolist())) <= 2
