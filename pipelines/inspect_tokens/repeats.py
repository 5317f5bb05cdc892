"""Count repeated rows by 64-bit hashes, in bounded memory."""

import hashlib
from collections.abc import Iterable

import numpy as np

MOST_HASHES = 2**23  # 64 MiB, and as much again to sort them


def hashes(values: Iterable[bytes]) -> np.ndarray:
    """Hash each value to 64 bits; among a million, two collide with a chance of 1 in 37 million."""
    digests = [hashlib.blake2b(value, digest_size=8).digest() for value in values]
    return np.frombuffer(b"".join(digests), np.uint64)


class Repeats:
    """Counts values that occurred before.

    Of more than MOST_HASHES rows, only those whose hash is divisible by `one_in` are counted: all
    of equal values or none, so they are a fair sample.
    """

    def __init__(self, rows: int) -> None:
        self.one_in = 1 << max(0, -(-rows // MOST_HASHES) - 1).bit_length()
        self._kept: list[np.ndarray] = []

    def add(self, found: np.ndarray) -> None:
        self._kept.append(found[found % np.uint64(self.one_in) == 0])

    def repeated(self) -> np.ndarray:
        everything = np.concatenate([np.zeros(0, np.uint64), *self._kept])
        everything.sort()
        return everything[1:][everything[1:] == everything[:-1]]

    @property
    def count(self) -> int:
        """Rows that repeat an earlier one, estimated if only a sample was counted."""
        return len(self.repeated()) * self.one_in
