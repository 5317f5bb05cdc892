"""Token shards of any size, drawn by chance: the layout of real ones without the models."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from schemas import rows
from schemas.folder import Folder
from schemas.settings import TokenSpec
from schemas.tokens import TokenHeader
from stages.data.parquet import TOKEN_FILE, parquet_file

PAPER = TokenSpec(text_vocab=16_384, text_len=256, image_vocab=8_192, grid=32)
SMALL = TokenSpec(text_vocab=300, text_len=12, image_vocab=16, grid=2)
ROWS_AT_ONCE = 1024
WORDS = 2**16  # a code is picked by a 16-bit number from a list in which common ones stand often


def header(spec: TokenSpec, source: str | None = None, **more: str) -> TokenHeader:
    """Return what a shard says of its making."""
    made_by = {"dvae_fingerprint": "d" * 12, "dvae_sha256": "d" * 64}
    made_by |= {"bpe_fingerprint": "b" * 12, "bpe_sha256": "b" * 64, "crop": "listing 2"}
    sizes = spec.model_dump()
    return TokenHeader(format_version="2", source_shard=source, **made_by | sizes | more)


def tables(spec: TokenSpec, name: str, count: int) -> Iterator[pa.Table]:
    """Yield a shard's rows, a row group at a time."""
    stem = name.removesuffix(".parquet")
    rng = np.random.default_rng(list(stem.encode()))
    schema = header(spec, name).schema
    for start in range(0, count, ROWS_AT_ONCE):
        size = min(ROWS_AT_ONCE, count - start)
        numbers = range(start, start + size)
        lengths = rng.integers(2, spec.text_len // 4 + 2, size)
        text = rng.integers(0, spec.text_vocab, (size, spec.text_len), dtype=np.uint16)
        text[np.arange(spec.text_len) >= lengths[:, None]] = spec.text_vocab
        columns = {
            "key": [f"{stem}-{number:06d}" for number in numbers],
            "group": [f"{stem}{number:09d}" for number in numbers],
            "caption": [f"picture {number}, and what is on it" for number in numbers],
            "text": rows.fixed_list(text),
            "text_length": lengths.astype(np.uint16),
            "image": rows.fixed_list(_codes(spec, rng, size)),
            "crop": rows.fixed_list(rng.random((size, 4), np.float32)),
        }  # fmt: skip
        yield pa.table(columns, schema=schema)


def _codes(spec: TokenSpec, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw codes of which some are common and most are rare, as an encoder's are."""
    share = 1 / np.sqrt(np.arange(1, spec.image_vocab + 1))
    places = np.searchsorted(np.cumsum(share / share.sum()), (np.arange(WORDS) + 0.5) / WORDS)
    listed = places.astype(np.uint16)
    return listed[rng.integers(0, WORDS, (count, spec.image_len), dtype=np.uint16)]


def write(
    out: Folder, shards: int, rows_each: int, spec: TokenSpec = SMALL, part: str = "train/"
) -> list[str]:
    """Commit so many shards as encode would, without a manifest; return their names.

    A row belongs to its shard's name: written again it is the same, and no other shard has its key.
    """
    names = [f"{part}shard-{number:05d}.parquet" for number in range(shards)]
    for name in names:
        made = parquet_file(tables(spec, name, rows_each), header(spec, name).schema, TOKEN_FILE)
        out.commit(name, made)
    return names
