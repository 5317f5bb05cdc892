"""Read evaluation sets, whose pictures must not be learned.

An evaluation set is a folder of pictures, of Parquet files, or of both, or a single such file.
Memory holds one picture, or one row group, at a time.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int, UInt64

from schemas.errors import ConfigError
from stages.data.parquet import picture_column, picture_names
from stages.pictures import SUFFIXES, PictureError, decode
from stages.pictures.looks import contrast, perceptual_hash, whole
from stages.storage import reaching, system_of

PARQUET = ".parquet"
MAX_BYTES = 1 << 28  # of one picture
BATCH = 32  # rows


@dataclass(frozen=True)
class EvaluationPictures:
    """What is to be avoided: name and digest of every file, and the looks of those that decode.

    `contrast` goes with `perceptual_hash`, for the hash of a flat picture means nothing.
    """

    names: tuple[str, ...]  # paths below the set's folder, or what a table calls its rows
    sha256: tuple[str, ...]
    decoded: Int[np.ndarray, " decoded"]  # which of the files have looks
    perceptual_hash: UInt64[np.ndarray, " decoded"]
    contrast: Float32[np.ndarray, " decoded"]
    unreadable: int


def evaluation_pictures(path: str) -> EvaluationPictures:
    """Look at every picture of the set at a path or fsspec address, in the order of file names.

    Raises ConfigError if there are none, or none that can be read.
    """
    names: list[str] = []
    digests: list[str] = []
    decoded: list[int] = []
    hashes: list[int] = []
    contrasts: list[float] = []
    empty = 0
    for name, data in _pictures(path):
        if data is None:
            empty += 1
            continue
        names.append(name)
        digests.append(hashlib.sha256(data).hexdigest())
        with suppress(PictureError):
            seen = whole(decode(data))
            decoded.append(len(names) - 1)
            hashes.append(perceptual_hash(seen))
            contrasts.append(contrast(seen))
    if not digests:
        raise ConfigError(
            f"wanted pictures in the evaluation set '{path}', found {empty} that cannot be "
            "read; give filter.decontaminate files that hold the pictures themselves"
        )
    return EvaluationPictures(
        tuple(names),
        tuple(digests),
        np.array(decoded, np.int64),
        np.array(hashes, np.uint64),
        np.array(contrasts, np.float32),
        unreadable=empty + len(names) - len(decoded),
    )


def _pictures(path: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield the name and the bytes of each picture, None where there are none or too many."""
    found = False
    with reaching(path, "filter.decontaminate"):
        system, top = system_of(path)
        for name in sorted(system.find(top)):
            if name.lower().endswith(SUFFIXES):
                found = True
                below = name.removeprefix(top).lstrip("/") or PurePosixPath(name).name
                too_many = system.size(name) > MAX_BYTES
                yield below, None if too_many else bytes(system.cat_file(name))
            elif name.lower().endswith(PARQUET):
                found = True
                yield from _rows(system, name)
    if not found:
        raise ConfigError(
            f"wanted pictures or Parquet files at '{path}', found none; set filter.decontaminate "
            f"to files or folders of files that end in {', '.join((*SUFFIXES, PARQUET))}"
        )


def _rows(system: Any, name: str) -> Iterator[tuple[str, bytes | None]]:
    with system.open(name, "rb") as file:
        try:
            parquet = pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise ConfigError(
                f"wanted a Parquet file of pictures at '{name}', found one that cannot be read "
                f"({error}); replace it or take it out of filter.decontaminate"
            ) from error
        column = picture_column(parquet.schema_arrow, name)
        for group in range(parquet.num_row_groups):
            called = iter(picture_names(parquet, group, name))
            for batch in parquet.iter_batches(BATCH, row_groups=[group], columns=[column]):
                for value in batch.column(0).to_pylist():
                    data = value.get("bytes") if isinstance(value, dict) else value
                    yield next(called), data if data and len(data) <= MAX_BYTES else None
