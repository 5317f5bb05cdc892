"""What encoding costs beside the bare encoder, and how small its files are.

`python -m tests.bench.encode [threads]`: 256 x 256 pictures, n_hid 64, 8,192 codes, on the CPU.
"""

import io
import os
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from infra import session
from infra.store import open_folder
from schemas import rows
from schemas.artifacts import BPE, CLEAN_PAIRS, DVAE
from schemas.folder import Inputs
from schemas.manifest import Result
from schemas.settings import EncodeRun, EncodeSettings, TokenSpec
from stages import encode
from stages.data.parquet import PICTURE_FILE, TOKEN_FILE, parquet_bytes
from stages.encode.crops import crop_rows
from stages.encode.encode_part import EncodePart
from stages.encode.row_ranges import Part
from stages.models.codebook import code_counts, codebook_health
from stages.pictures.tensors import to_tensor
from tests.bench.clock import in_words, ratio, seconds
from tests.bench.dvae import pair_rows
from tests.stages.finished import finish
from tests.stages.test_encode import models

PICTURES, TILE = 64, 16
PAPER = TokenSpec()
SMALL = TokenSpec(text_vocab=300, text_len=24, image_vocab=32, grid=4)
FEW, MANY = 4, 64  # shards of one picture
SLOPES = (0.0, 0.5, 0.75, 1.0)  # of how often codes occur, by rank
DRAWN = 16_384  # rows


def pairs(root: Path, tokens: TokenSpec, shards: int, each: int) -> Inputs:
    """Write clean pairs, and models with fresh weights."""
    clean = open_folder(root / "clean_pairs")
    found = pair_rows(shards * each, tokens.side)
    for number in range(shards):
        table = pa.Table.from_pylist(list(islice(found, each)), schema=rows.CLEAN_PAIR)
        data = parquet_bytes(table, PICTURE_FILE)
        clean.commit(f"train/shard-{number:05d}.parquet", data)
    finish(clean, CLEAN_PAIRS, Result(rows_in=0, rows_out=0))
    width, blocks = (64, 2) if tokens == PAPER else (4, 1)
    made = models(root, tokens, ["noise"], width=width, blocks=blocks)
    return Inputs({"clean_pairs": clean, **made})


def throughput(root: Path, threads: int) -> None:
    """Time whole parts beside the encoder alone, in turns, and look at what was written."""
    inputs = pairs(root, PAPER, 1, PICTURES)
    cfg = EncodeSettings(tokens=PAPER, tile=TILE, run=EncodeRun(threads=threads))
    folders = [inputs.folder(artifact) for artifact in (CLEAN_PAIRS, DVAE, BPE)]
    worker = EncodePart(*folders, encode.header(inputs, cfg), cfg)
    part = Part("train/shard-00000.parquet", "train/shard-00000.parquet", 0, PICTURES)
    table = pq.read_table(folders[0].open(part.source)).to_pylist()

    before = time.process_time()
    squares = crop_rows(table, crops=1, seed=0, side=PAPER.side).squares
    cropping = time.process_time() - before
    batches = to_tensor(squares).split(TILE)

    @torch.inference_mode()
    def bare() -> list[torch.Tensor]:
        return [worker.encoder.dvae.codes(batch) for batch in batches]

    whole, alone = seconds(whole=lambda: worker(part), alone=bare).values()
    print(
        f"encode, {PICTURES} JPEG pictures to {PAPER.grid} x {PAPER.grid} codes, n_hid 64, "
        f"threads: {threads}: {in_words(whole)}, the encoder alone on tensors in memory "
        f"{in_words(alone)}: {ratio(alone, whole, 'wall'):.2f} of its throughput "
        f"({ratio(alone, whole, 'cpu'):.2f} in CPU seconds)"
    )
    print(f"decode and crop: {PICTURES / cropping:,.0f} pictures/s per core")
    size_of(worker(part).files[part.name])


def size_of(file: bytes) -> None:
    """Compare the image column, code by code, with the entropy of how often each code occurs."""
    with pq.ParquetFile(io.BytesIO(file)) as parquet:
        codes = torch.from_numpy(rows.matrix(parquet.read()["image"]).astype(np.int64))
        columns = [parquet.metadata.row_group(0).column(n) for n in range(7)]
        [image] = [c for c in columns if c.path_in_schema.startswith("image")]
    bits = np.log2(codebook_health(code_counts(codes, PAPER.image_vocab)).perplexity)
    print(
        f"a row has {len(file) / len(codes):,.0f} bytes, its codes "
        f"{8 * image.total_compressed_size / codes.numel():.2f} bits each; entropy {bits:.2f}"
    )
    rng = np.random.default_rng(0)
    for slope in SLOPES:
        frequency = rng.permutation(np.arange(1.0, PAPER.image_vocab + 1) ** -slope)
        frequency /= frequency.sum()
        drawn = rng.choice(PAPER.image_vocab, (DRAWN, PAPER.image_len), p=frequency)
        table = pa.table({"image": rows.fixed_list(drawn.astype(np.uint16))})
        packed = 8 * len(parquet_bytes(table, TOKEN_FILE)) / drawn.size
        entropy = -(frequency * np.log2(frequency)).sum()
        print(f"codes drawn apart: {packed:.2f} bits each; entropy {entropy:.2f}")


def overheads(root: Path) -> None:
    """Time runs of few and of many shards of one small picture, on a Ray that runs."""
    cfg = EncodeSettings(tokens=SMALL, tile=1, run=EncodeRun(threads=1))
    taken = {}
    for name, shards in (("first", FEW), ("few", FEW), ("many", MANY)):
        inputs = pairs(root / name, SMALL, shards, 1)
        started = time.perf_counter()
        encode.run(inputs, open_folder(root / f"{name}-out"), cfg)
        taken[shards] = time.perf_counter() - started
    each = (taken[MANY] - taken[FEW]) / (MANY - FEW)
    print(
        f"on Ray: {1000 * each:.0f} ms for a shard, {taken[FEW] - FEW * each:.1f} s to start one "
        "worker and to end"
    )


def main(threads: int = len(os.sched_getaffinity(0))) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        throughput(Path(folder) / "throughput", threads)
        session.start(temp_dir=f"{folder}/ray")
        overheads(Path(folder))
        session.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
