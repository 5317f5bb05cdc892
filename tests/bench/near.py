"""Near-duplicate search at growing sizes, on even and on skewed hashes, beside four 16-bit bands.

`python -m tests.bench.near [sizes]`
"""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stages.filter.near import clusters, nearest_within
from stages.pictures.looks import CLEAR, COLUMNS, ROWS

SIZES = (100_000, 1_000_000, 10_000_000)
FOR_BANDS = 1_000_000  # beyond it the bands' candidates take many minutes
REFERENCE = 100_000  # hashes of evaluation sets
DISTANCE, FOR_EVALUATION = 3, 6
COPIES = 0.2  # of the hashes are near copies of others
TAIL = 1.5  # exponent of the sizes of the copied: most are copied once, a few thousands of times
LARGEST = 20_000
AT_ONCE = 1 << 18


def even(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw hashes all of whose bits are fair coins."""
    return rng.integers(0, 2**64, count, dtype=np.uint64)


def skewed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw the waves of natural pictures and threshold them as `perceptual_hash` does.

    Power falls with frequency by a law that differs from picture to picture. One in ten is
    symmetrical, one in ten a thing on a plain ground, whose waves all hang on its size.
    """
    pieces = [_waves(rng, min(AT_ONCE, count - at)) for at in range(0, count, AT_ONCE)]
    return np.concatenate([_thresholded(piece) for piece in pieces])


def _waves(rng: np.random.Generator, count: int) -> np.ndarray:
    wide = rng.uniform(0.7, 1.4, (count, 1))  # frequencies along the longer side are lower
    frequency = np.hypot(ROWS * wide, COLUMNS / wide)
    steepness = rng.uniform(0.8, 1.6, (count, 1))
    strength = rng.standard_normal((count, len(ROWS))) * frequency**-steepness
    kind = rng.random((count, 1))
    strength *= np.where((kind < 0.1) & (COLUMNS % 2 == 1), 0.02, 1)
    half = rng.uniform(0.15, 0.45, (count, 2, 1))  # a box in the middle, and a little of the rest
    box = np.prod([_box(k, h) for k, h in ((ROWS, half[:, 0]), (COLUMNS, half[:, 1]))], axis=0)
    return np.where(kind > 0.9, box + 0.02 * strength, strength)


def _box(frequency: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return the cosine transform of a centred box that takes up twice `half` of the side."""
    turn = np.pi * np.maximum(frequency, 1)
    return np.where(frequency == 0, 2 * half, 2 * np.sin(turn * half) * np.cos(turn / 2) / turn)


def _thresholded(strength: np.ndarray) -> np.ndarray:
    clear = strength > CLEAR * np.sqrt(np.mean(strength**2, axis=1, keepdims=True))
    return np.packbits(clear, axis=1).view(">u8")[:, 0].astype(np.uint64)


def with_copies(rng: np.random.Generator, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn a fifth of the hashes into copies with 1 to 3 bits flipped; return them and the sources.

    Sources are drawn with a heavy tail. Where the source is its own there is no copy.
    """
    count = len(hashes)
    copies = rng.permutation(count)[: int(COPIES * count)]
    times = np.minimum(rng.pareto(TAIL, len(copies)) + 1, LARGEST).astype(np.int64)
    originals = np.setdiff1d(np.arange(count), copies, assume_unique=True)
    chosen = np.repeat(rng.permutation(originals)[: len(times)], times[: len(originals)])
    source = np.arange(count)
    source[copies] = chosen[: len(copies)]
    flips = np.zeros(len(copies), np.uint64)
    for flip in range(DISTANCE):
        bit = np.uint64(1) << rng.integers(0, 64, len(copies), dtype=np.uint64)
        flips ^= np.where(rng.random(len(copies)) < (1, 0.6, 0.3)[flip], bit, np.uint64(0))
    hashes[copies] = hashes[source[copies]] ^ flips
    return hashes, source


def in_bands(hashes: np.ndarray) -> tuple[int, int]:
    """Search by four 16-bit bands; return how many candidates were compared and pairs found."""
    candidates = found = 0
    for band in range(4):
        key = hashes >> np.uint64(16 * band) & np.uint64(0xFFFF)
        order = np.argsort(key, kind="stable")
        ordered, key = hashes[order], key[order]
        at = np.arange(len(key))
        step = 0
        while len(at):
            step += 1
            at = at[at + step < len(key)]
            at = at[key[at] == key[at + step]]
            candidates += len(at)
            near = np.bitwise_count(ordered[at] ^ ordered[at + step]) <= DISTANCE
            found += int(near.sum())
    return candidates, found


def measured(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Return the work's result, its CPU seconds and by how many GiB memory grew at its highest."""
    before, highest, over = _resident(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            highest[0] = max(highest[0], _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.process_time()
    result = work()
    seconds = time.process_time() - started
    over.set()
    watcher.join()
    return result, seconds, max(0, highest[0] - before) / 2**30


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def near_duplicates(sizes: tuple[int, ...] = SIZES) -> None:
    """Print CPU seconds, memory, what was found, and the ratios between one size and the next."""
    for draw in (even, skewed):
        last = 0.0
        for count in sizes:
            rng = np.random.default_rng(count)
            hashes, source = with_copies(rng, draw(rng, count))
            labels, seconds, grown = measured(lambda hashes=hashes: clusters(hashes, DISTANCE))
            planted = int((source != np.arange(count)).sum())
            kept = int((labels == labels[source]).sum()) - (count - planted)
            largest = int(np.bincount(labels).max())
            ratio = f", {seconds / last:.1f} times the size before" if last else ""
            print(
                f"near duplicates, {draw.__name__} hashes, {count:,}: {seconds:.2f} CPU s "
                f"({1e9 * seconds / count:,.0f} ns each{ratio}), {grown:.2f} GiB more memory; "
                f"{kept:,} of {planted:,} planted copies joined to their source, "
                f"{count - len(np.unique(labels)):,} in all joined to another, "
                f"largest cluster {largest:,}"
            )
            last = seconds
            reference = draw(rng, REFERENCE)
            found, seconds, grown = measured(
                lambda hashes=hashes, reference=reference: nearest_within(
                    hashes, reference, FOR_EVALUATION
                )
            )
            print(
                f"  within {FOR_EVALUATION} bits of {REFERENCE:,} others: {seconds:.2f} CPU s, "
                f"{grown:.2f} GiB more memory, {(found >= 0).sum():,} found"
            )
            if count <= FOR_BANDS:
                started = time.process_time()
                candidates, pairs = in_bands(np.unique(hashes))
                print(
                    f"  four 16-bit bands: {time.process_time() - started:.2f} CPU s, "
                    f"{candidates:,} candidates compared, {pairs:,} hits"
                )


if __name__ == "__main__":
    near_duplicates(tuple(int(float(size)) for size in sys.argv[1:]) or SIZES)
