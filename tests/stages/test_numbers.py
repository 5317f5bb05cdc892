import pytest

from stages.numbers import byte_size, compact, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0m00s"), (59.6, "1m00s"), (73, "1m13s"), (3_599.6, "1h00m"), (18_420, "5h07m"),
     (86_399.9, "1d00h"), (273_600, "3d04h"), (float("inf"), "unknown")],
)  # fmt: skip
def test_times_have_two_units(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"), [(7.4, "7.4"), (999.6, "1 k"), (10_000, "10 k"), (1.58e6, "1.58 M"),
                          (12e9, "12 B"), (3e12, "3,000 B")],
)  # fmt: skip
def test_large_numbers_have_three_digits(number, words):
    assert compact(number) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "none"), (512, "0.5 KiB"), (406_000, "396 KiB"), (2**36, "64 GiB")]
)
def test_bytes_have_the_unit_that_suits_them(count, words):
    assert byte_size(count) == words
