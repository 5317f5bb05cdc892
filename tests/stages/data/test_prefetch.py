"""What is done ahead comes in order, and no further ahead than asked."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from stages.data.prefetch import prefetch


def test_results_come_in_order_however_long_each_takes():
    def work(n):
        time.sleep(0.02 if n % 3 == 0 else 0)
        return n * n

    with ThreadPoolExecutor(4) as pool:
        assert list(prefetch(work, range(20), pool, depth=8)) == [n * n for n in range(20)]


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_is_begun_than_asked(depth):
    begun = []

    def items():
        for n in range(100):
            begun.append(n)
            yield n

    with ThreadPoolExecutor(2) as pool:
        found = prefetch(str, items(), pool, depth)
        for used in range(1, 10):
            next(found)
            assert len(begun) == used + depth
        found.close()


def test_what_goes_wrong_is_raised_in_its_turn():
    with ThreadPoolExecutor(2) as pool:
        found = prefetch(lambda n: 1 // n, [2, 1, 0, 1], pool, depth=4)
        assert [next(found), next(found)] == [0, 1]
        with pytest.raises(ZeroDivisionError):
            next(found)


def test_nothing_is_nothing():
    with ThreadPoolExecutor(1) as pool:
        assert list(prefetch(str, [], pool, depth=2)) == []
