"""Crop the pictures of clean pairs: all that is done before the encoder.

Needs no model, so that it can be done in processes beside the one that has the GPU.
"""

import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq

from schemas.artifacts import TRAIN
from schemas.folder import Folder
from schemas.rows import FLIP
from schemas.settings import EncodeSettings
from stages.data.parquet import groups_of_rows
from stages.data.prefetch import prefetch
from stages.encode.row_ranges import Part
from stages.hashing import hash_bits
from stages.pictures import PictureError, Pixels, crop_for_prior, decode

Row = dict[str, Any]
MIRRORED = "mirrored: "  # before the caption of a mirrored picture


@dataclass(frozen=True)
class Cropped:
    """Squares cut from some clean pairs."""

    rows: list[Row]  # key, group, caption and crop of each square
    squares: list[Pixels]
    dropped: list[Row]  # with the reason


def cropped(clean: Folder, part: Part, cfg: EncodeSettings, pool: Executor) -> Iterator[Cropped]:
    """Yield the part's squares, those of `tile` clean pairs at a time, cropped ahead by `pool`."""
    crops = cfg.crops if part.source.startswith(TRAIN) else 1
    flips = cfg.flips and part.source.startswith(TRAIN)
    crop = partial(crop_rows, crops=crops, flips=flips, seed=cfg.seed, side=cfg.tokens.side)
    with (
        clean.open(part.source) as file,
        pq.ParquetFile(file) as table,
        ThreadPoolExecutor(1) as reader,
    ):

        def read(piece: tuple[int, int, int]) -> list[Row]:
            group, low, high = piece
            return table.read_row_group(group).slice(low, high - low).to_pylist()

        wanted = groups_of_rows(table.metadata, part.start, part.rows)
        groups = prefetch(read, wanted, reader, depth=1)
        tiles = (
            group[start : start + cfg.tile]
            for group in groups
            for start in range(0, len(group), cfg.tile)
        )
        yield from prefetch(crop, tiles, pool, depth=2 * max(1, cfg.run.decoders))


def tiles(found: Iterable[Cropped], size: int) -> Iterator[Cropped]:
    """Regroup squares so that all but the last have exactly `size` of them."""
    left = Cropped([], [], [])
    for some in found:
        left = Cropped(
            left.rows + some.rows, left.squares + some.squares, left.dropped + some.dropped
        )
        while len(left.rows) >= size:
            yield Cropped(left.rows[:size], left.squares[:size], left.dropped)
            left = Cropped(left.rows[size:], left.squares[size:], [])
    if left.rows or left.dropped:
        yield left


def crop_rows(
    pairs: Sequence[Row], *, crops: int, seed: int, side: int, flips: bool = False
) -> Cropped:
    """Cut `crops` squares out of every picture as listing 2 does, or say why not.

    With `flips`, each is followed by its mirror image, under a caption that says so: a prior learns
    from both, and draws what is not mirrored unless it is asked to.
    """
    made = Cropped([], [], [])
    for pair in pairs:
        try:
            pixels = decode(pair["image"])
            for key in keys_of(pair["key"], crops):
                draws = np.random.default_rng(row_seed(seed, "crop", key))
                square, box = crop_for_prior(pixels, side, draws)
                same = {name: pair[name] for name in ("group", "caption")}
                made.rows.append({"key": key, **same, "crop": box})
                made.squares.append(square)
                if flips:
                    caption = MIRRORED + pair["caption"]
                    mirrored = {"key": key + FLIP, "group": pair["group"], "caption": caption}
                    made.rows.append(mirrored | {"crop": box})
                    made.squares.append(np.ascontiguousarray(square[:, ::-1]))
        except PictureError as error:
            lost = {name: value for name, value in pair.items() if name != "image"}
            made.dropped.append(lost | {"reason": error.reason})
    return made


def keys_of(key: str, crops: int) -> list[str]:
    """Name the crops of a picture; the first is called as the pair is."""
    return [key, *(f"{key}#{number}" for number in range(1, crops))]


def row_seed(seed: int, purpose: str, key: str) -> int:
    """Return 63 bits that belong to one row alone."""
    return hash_bits(f"{seed} {purpose} {key}", 63)


def decoders(count: int) -> Executor:
    """Return `count` processes that end with this one; of none, a thread of this one.

    They are forked from a server that has imported what they need and runs no thread; it takes
    about a second to start the first.
    """
    if count == 0:
        return ThreadPoolExecutor(1)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(count, context, initializer=_start)


def _start() -> None:
    """Use one core, and die when the parent was killed: the pool itself would wait for ever."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
