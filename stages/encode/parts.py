"""Encode one file of clean pairs, or a piece of a large one, into one file of tokens."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from schemas import rows
from schemas.artifacts import DROPPED_ROWS, TRAIN, VAL
from schemas.configs import EncodeJob
from schemas.folder import Folder
from stages.pictures import PictureError, Pixels, crop_for_prior, decode, to_tensor
from stages.shards import Made
from stages.tables import PICTURE_FILE, TOKEN_FILE, parquet_bytes
from stages.training.weights import load_bpe, load_dvae

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Rows of a clean_pairs file that become one file of tokens."""

    source: str
    name: str
    start: int
    rows: int


def cut(clean: Folder, rows_per_shard: int) -> list[Part]:
    """List the parts to encode: a file of clean pairs each, a large one in several."""
    names = [name for split in (TRAIN, VAL) for name in clean.list(split)]

    def size_of(name: str) -> int:
        with clean.open(name) as file:
            parquet = pq.ParquetFile(file)
            rows.check(parquet.schema_arrow, rows.CLEAN_PAIR, where=f"{clean.url}/{name}")
            return parquet.metadata.num_rows

    with ThreadPoolExecutor(16) as threads:  # an object store answers slowly, but many at once
        sizes = list(threads.map(size_of, names))
    parts = []
    for name, size in zip(names, sizes, strict=True):
        count = max(math.ceil(size / rows_per_shard), 1)
        for number in range(count):
            start = number * rows_per_shard
            ending = f"-{number:05d}.parquet" if count > 1 else ".parquet"
            part = name.removesuffix(".parquet") + ending
            parts.append(Part(name, part, start, min(rows_per_shard, size - start)))
    return parts


class EncodePart:
    """One per actor. Plain Python, so that a test can call it without Ray."""

    def __init__(
        self, clean: Folder, dvae: Folder, bpe: Folder, metadata: Mapping[str, str], cfg: EncodeJob
    ) -> None:
        torch.set_num_threads(cfg.threads)  # Ray would leave it at the CPUs it books
        torch.backends.cudnn.allow_tf32 = False  # the same codes on every device, nearly always
        self.clean, self.metadata, self.cfg = clean, metadata, cfg
        self.device = "cuda" if cfg.gpu else "cpu"
        self.dvae = load_dvae(dvae).to(self.device)
        self.bpe = load_bpe(bpe)

    def __call__(self, part: Part) -> Made:
        """Encode one part."""
        kept: list[Row] = []
        dropped: list[Row] = []
        codes: list[np.ndarray] = []
        tile: list[Pixels] = []
        for row in read_rows(self.clean, part):
            try:
                pixels, crop = self.crop(row["key"], row["image"])
            except PictureError as error:
                dropped.append({**row, "reason": error.reason})
                continue
            tile.append(pixels)
            kept.append({"key": row["key"], "group": row["group"], "crop": crop,
                         "caption": row["caption"]})  # fmt: skip
            if len(tile) == self.cfg.tile:
                codes.append(self.codes(tile))
                tile = []
        if tile:
            codes.append(self.codes(tile))
        return self.made(part, kept, dropped, codes)

    def crop(self, key: str, image: bytes) -> tuple[Pixels, tuple[float, float, float, float]]:
        """Return listing 2's crop, chosen by the seed and the row's key alone."""
        digest = hashlib.sha256(f"{self.cfg.seed} crop {key}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return crop_for_prior(decode(image), self.cfg.tokens.side, rng)

    @torch.inference_mode()
    def codes(self, tile: Sequence[Pixels]) -> np.ndarray:
        """Return (n, grid x grid) codes; a full tile is computed, so company is no matter."""
        full = np.zeros((self.cfg.tile, *tile[0].shape), np.uint8)
        full[: len(tile)] = np.stack(tile)
        found = self.dvae.codes(to_tensor(full).to(self.device)).cpu().numpy()
        return found[: len(tile)].reshape(len(tile), -1).astype(np.uint16)

    def made(
        self, part: Part, kept: list[Row], dropped: list[Row], codes: Sequence[np.ndarray]
    ) -> Made:
        """Put the columns together and into files."""
        tokens = self.cfg.tokens
        texts = [self.bpe.ids(row["caption"], tokens.text_len) for row in kept]
        empty = np.zeros((0, 1), np.uint16)
        table = pa.table(
            {
                **{name: [row[name] for row in kept] for name in ("key", "group", "caption")},
                "text": rows.fixed_list(
                    np.stack([text.ids for text in texts])
                    if texts
                    else empty.reshape(0, tokens.text_len)
                ),
                "text_length": np.array([text.length for text in texts], np.uint16),
                "image": rows.fixed_list(
                    np.concatenate(codes) if codes else empty.reshape(0, tokens.image_len)
                ),
                "crop": rows.fixed_list(
                    np.array([row["crop"] for row in kept], np.float32).reshape(-1, 4)
                ),
            },
            schema=rows.token_pair(text_len=tokens.text_len, grid=tokens.grid).with_metadata(
                {**self.metadata, "source_shard": part.source}
            ),
        )
        files = {part.name: parquet_bytes(table, TOKEN_FILE)}
        if dropped:
            lost = pa.Table.from_pylist(dropped, rows.DROPPED)
            files[DROPPED_ROWS + part.name.replace("/", "-")] = parquet_bytes(lost, PICTURE_FILE)
        return Made(
            files=files,
            rows_in=len(kept) + len(dropped),
            rows_out=len(kept),
            rejects=dict(sorted(Counter(row["reason"] for row in dropped).items())),
            health={
                "truncated_captions": sum(text.truncated for text in texts),
                "text_tokens": sum(text.length for text in texts),
            },
        )


def read_rows(folder: Folder, part: Part) -> Iterator[Row]:
    """Yield the part's rows, one row group in memory at a time."""
    with folder.open(part.source) as file:
        parquet = pq.ParquetFile(file)
        before = 0
        for group in range(parquet.num_row_groups):
            size = parquet.metadata.row_group(group).num_rows
            low, high = max(part.start - before, 0), min(part.start + part.rows - before, size)
            if low < high:
                yield from parquet.read_row_group(group).slice(low, high - low).to_pylist()
            before += size
