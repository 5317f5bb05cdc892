"""Encode one part of clean pairs into one file of tokens."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor

import numpy as np
import pyarrow as pa
import torch

from schemas import rows
from schemas.artifacts import DROPPED_ROWS
from schemas.folder import Folder
from schemas.settings import EncodeSettings
from schemas.tokens import TokenHeader
from stages.cpu_threads import use_threads
from stages.data.parquet import PICTURE_FILE, TOKEN_FILE, parquet_bytes
from stages.encode.codes import TileEncoder
from stages.encode.crops import Row, cropped, decoders, tiles
from stages.encode.row_ranges import Part
from stages.shards import Made
from stages.weights import load_bpe, load_dvae


class EncodePart:
    """One per actor. Plain Python, so that a test can call it without Ray."""

    def __init__(
        self, clean: Folder, dvae: Folder, bpe: Folder, header: TokenHeader, cfg: EncodeSettings
    ) -> None:
        use_threads(cfg.run.threads)  # Ray would leave it at the CPUs it books
        self.clean, self.header, self.cfg = clean, header, cfg
        self.encoder = TileEncoder(load_dvae(dvae), cfg)
        self.bpe = load_bpe(bpe)
        self.pool = decoders(cfg.run.decoders)

    def __call__(self, part: Part) -> Made:
        """Encode one part; raise BrokenExecutor if that killed a process that crops."""
        try:
            return self.encode(part)
        except BrokenExecutor:
            self.pool = decoders(self.cfg.run.decoders)
            raise

    def encode(self, part: Part) -> Made:
        kept: list[Row] = []
        dropped: list[Row] = []
        codes: list[torch.Tensor] = []
        compared: dict[str, int] = {}
        for tile in tiles(cropped(self.clean, part, self.cfg, self.pool), self.cfg.tile):
            dropped += tile.dropped
            if tile.rows:
                keys = [row["key"] for row in tile.rows]
                codes.append(self.encoder(tile.squares, keys))
                if self.cfg.precision != "float32" and not compared:
                    differing = self.encoder.differing(tile.squares, keys)
                    compared = {"compared_codes": codes[0].numel(), "differing_codes": differing}
                kept += tile.rows
        return self.made(part, kept, dropped, codes, compared)

    def made(
        self,
        part: Part,
        kept: Sequence[Row],
        dropped: Sequence[Row],
        codes: list[torch.Tensor],
        compared: Mapping[str, int],
    ) -> Made:
        tokens = self.cfg.tokens
        texts = [self.bpe.encode_padded(row["caption"], tokens.text_len) for row in kept]
        ids = np.array([text.ids for text in texts], np.uint16).reshape(-1, tokens.text_len)
        found = torch.cat(codes) if codes else torch.zeros(0, tokens.image_len)
        crops = np.array([row["crop"] for row in kept], np.float32).reshape(-1, 4)
        table = pa.table(
            {
                **{name: [row[name] for row in kept] for name in ("key", "group", "caption")},
                "text": rows.fixed_list(ids),
                "text_length": np.array([text.length for text in texts], np.uint16),
                "image": rows.fixed_list(found.cpu().numpy().astype(np.uint16)),
                "crop": rows.fixed_list(crops),
            },
            schema=self.header.and_also(
                source_shard=part.source, differing_codes=share_of(compared)
            ).schema,
        )
        files = {part.name: parquet_bytes(table, TOKEN_FILE)}
        if dropped:
            lost = pa.Table.from_pylist(dropped, rows.DROPPED)
            files[DROPPED_ROWS + part.name.replace("/", "-")] = parquet_bytes(lost, PICTURE_FILE)
        return Made(
            files=files,
            rows_in=part.rows,
            rows_out=len(kept),
            rejects=dict(sorted(Counter(row["reason"] for row in dropped).items())),
            health={
                "truncated_captions": sum(text.truncated for text in texts),
                "text_tokens": sum(text.length for text in texts),
                **compared,
            },
        )


def share_of(compared: Mapping[str, int]) -> float | None:
    """Return the share of codes that differ from float32's, if they were compared."""
    return compared["differing_codes"] / compared["compared_codes"] if compared else None
