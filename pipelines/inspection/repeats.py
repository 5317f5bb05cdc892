"""How many rows repeat an earlier one: by 64-bit hashes, in bounded memory."""

import hashlib
from collections.abc import Iterable

import numpy as np

MOST_HASHES = 2**23  # 64 MiB of them, as much again to sort them


def hashes(values: Iterable[bytes]) -> np.ndarray:
    """Return 64 bits of each value; any two of a million agree by a chance of 1 in 37 million."""
    digests = [hashlib.blake2b(value, digest_size=8).digest() for value in values]
    return np.frombuffer(b"".join(digests), np.uint64)


class Repeats:
    """Counts values that were there before.

    Of more than MOST_HASHES rows only those are looked at whose hash is divisible by `one_in`: of
    equal values all or none, so that what is counted there is a fair sample of all.
    """

    def __init__(self, rows: int) -> None:
        self.one_in = 1 << max(0, -(-rows // MOST_HASHES) - 1).bit_length()
        self._kept: list[np.ndarray] = []

    def add(self, found: np.ndarray) -> None:
        """Take in the hashes of some rows."""
        self._kept.append(found[found % np.uint64(self.one_in) == 0])

    def repeated(self) -> np.ndarray:
        """Return the hashes of rows that repeat another, as often as they do."""
        everything = np.concatenate([np.zeros(0, np.uint64), *self._kept])
        everything.sort()
        return everything[1:][everything[1:] == everything[:-1]]

    @property
    def count(self) -> int:
        """Rows that repeat another, estimated where not all were looked at."""
        return len(self.repeated()) * self.one_in
