"""Read evaluation sets, whose pictures must not be learned.

An evaluation set is a folder of pictures, of Parquet files, or of both, or a single such file.
Memory holds one picture, or one row group, at a time.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, UInt64

from schemas.errors import ConfigError
from stages.data.parquet import picture_column
from stages.pictures import SUFFIXES, PictureError, decode
from stages.pictures.looks import contrast, perceptual_hash, whole
from stages.storage import reaching, system_of

PARQUET = ".parquet"
MAX_BYTES = 1 << 28  # of one picture
BATCH = 32  # rows


@dataclass(frozen=True)
class EvaluationPictures:
    """What is to be avoided: the digest of every file, and the looks of those that can be decoded.

    `contrast` goes with `perceptual_hash`, for the hash of a flat picture means nothing.
    """

    sha256: tuple[str, ...]
    perceptual_hash: UInt64[np.ndarray, " pictures"]
    contrast: Float32[np.ndarray, " pictures"]
    unreadable: int


def evaluation_pictures(path: str) -> EvaluationPictures:
    """Look at every picture of the set at a path or fsspec address, in the order of file names.

    Raises ConfigError if there are none, or none that can be read.
    """
    digests: list[str] = []
    hashes: list[int] = []
    contrasts: list[float] = []
    unreadable = 0
    for data in _pictures(path):
        if data is None:
            unreadable += 1
            continue
        digests.append(hashlib.sha256(data).hexdigest())
        try:
            seen = whole(decode(data))
        except PictureError:
            unreadable += 1
            continue
        hashes.append(perceptual_hash(seen))
        contrasts.append(contrast(seen))
    if not digests:
        raise ConfigError(
            f"wanted pictures in the evaluation set '{path}', found {unreadable} that cannot be "
            "read; give filter.decontaminate files that hold the pictures themselves"
        )
    return EvaluationPictures(
        tuple(digests),
        np.array(hashes, np.uint64),
        np.array(contrasts, np.float32),
        unreadable,
    )


def _pictures(path: str) -> Iterator[bytes | None]:
    """Yield the bytes of each picture, None where there are none or too many."""
    found = False
    with reaching(path, "filter.decontaminate"):
        system, top = system_of(path)
        for name in sorted(system.find(top)):
            if name.lower().endswith(SUFFIXES):
                found = True
                yield None if system.size(name) > MAX_BYTES else bytes(system.cat_file(name))
            elif name.lower().endswith(PARQUET):
                found = True
                yield from _rows(system, name)
    if not found:
        raise ConfigError(
            f"wanted pictures or Parquet files at '{path}', found none; set filter.decontaminate "
            f"to files or folders of files that end in {', '.join((*SUFFIXES, PARQUET))}"
        )


def _rows(system: Any, name: str) -> Iterator[bytes | None]:
    with system.open(name, "rb") as file:
        try:
            parquet = pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise ConfigError(
                f"wanted a Parquet file of pictures at '{name}', found one that cannot be read "
                f"({error}); replace it or take it out of filter.decontaminate"
            ) from error
        column = picture_column(parquet.schema_arrow, name)
        for batch in parquet.iter_batches(BATCH, columns=[column]):
            for value in batch.column(0).to_pylist():
                data = value.get("bytes") if isinstance(value, dict) else value
                yield data if data and len(data) <= MAX_BYTES else None
