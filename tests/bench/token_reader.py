"""How quickly token shards are read for training, beside plain pyarrow and Ray Data.

`python -m tests.bench.token_reader`; 65,536 rows as the paper's are, in four shards: 256 + 1,024
tokens, codes of 12.6 bits, captions of the words in tests/stages/captions.jsonl. Rows a second are
of CPU time, the best of several rounds, so that a busy machine disturbs them little.
"""

import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from infra.store import open_folder
from schemas import rows
from schemas.settings import FitSettings, PriorSettings, TokenSpec
from stages.data.loader import read_batches
from stages.data.parquet import TOKEN_FILE, parquet_bytes
from stages.data.table import Table, open_table
from stages.models.bpe import Bpe, train_bpe
from stages.train_prior.task import PriorTask
from stages.training.distributed import DistributedContext
from tests.bench.clock import cpu_each, seconds
from tests.bench.watched import watch

TOKENS = TokenSpec(text_vocab=4_096, text_len=256, image_vocab=8_192, grid=32)
SCHEMA = rows.token_pair(text_len=256, grid=32)
SHARDS, SHARD_ROWS, BATCH = 4, 16_384, 512
ROWS = SHARDS * SHARD_ROWS
MANY_SHARDS = 400  # links to one file, for what each costs at the start
PASSES = 3  # of Ray Data over the table, beside one, so that its own start drops out
CAPTIONS = Path(__file__).parents[1] / "stages/captions.jsonl"


def captions(draw: np.random.Generator, count: int) -> list[str]:
    """Draw captions of 5 to 24 words that people use."""
    lines = [json.loads(line)["caption"] for line in CAPTIONS.read_text().splitlines()]
    words = " ".join(line for line in lines if line.isascii()).split()
    return [" ".join(draw.choice(words, size)) for size in draw.integers(5, 25, count)]


def write(folder: Path) -> Bpe:
    """Write the shards; return the alphabet of their captions."""
    draw = np.random.default_rng(0)
    bpe = train_bpe(captions(draw, 20_000), TOKENS.text_vocab)
    out = open_folder(folder)
    for shard in range(SHARDS):
        said = captions(draw, SHARD_ROWS)
        texts = [bpe.encode_padded(caption, TOKENS.text_len) for caption in said]
        codes = TOKENS.image_vocab * draw.random((SHARD_ROWS, TOKENS.image_len)) ** 1.6
        columns = {
            "key": [f"{shard:05d}-{n:06d}" for n in range(SHARD_ROWS)],
            "group": [f"{shard}-{n}" for n in range(SHARD_ROWS)],
            "caption": said,
            "text": rows.fixed_list(np.stack([text.ids for text in texts])),
            "text_length": np.array([text.length for text in texts], np.uint16),
            "image": rows.fixed_list(codes.astype(np.uint16)),
            "crop": rows.fixed_list(np.zeros((SHARD_ROWS, 4), np.float32)),
        }
        data = parquet_bytes(pa.table(columns, SCHEMA), TOKEN_FILE)
        out.commit(f"train/shard-{shard:05d}.parquet", data)
    return bpe


def bare(folder: Path) -> None:
    """Read row group after row group, as plain pyarrow does it best, and keep nothing."""
    for path in sorted((folder / "train").iterdir()):
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                found = file.read_row_group(number, columns=["text", "image"], use_threads=False)
                for name in ("text", "image"):
                    rows.matrix(found[name])


def reader(table: Table) -> None:
    """Read an epoch in training's order, both columns as tensors of 16 bits."""
    found = read_batches(table, ("text", "image"), seed=0, batch_size=BATCH)
    for batch in itertools.islice(found, ROWS // BATCH):
        columns = batch.columns()
        for name in ("text", "image"):
            torch.from_numpy(columns[name])


def task_of(table: Table, bpe: Bpe, dropout: float) -> PriorTask:
    """Return the prior's task, of which only the batches are used."""
    fit = FitSettings(
        steps=1, batch_size=BATCH, learning_rate=1.0, learning_rate_end=1.0, ema_share=0.0
    )
    cfg = PriorSettings(tokens=TOKENS, bpe_dropout=dropout, fit=fit)
    return PriorTask(cfg, table, table, bpe, table.folder)


def batches(task: PriorTask) -> None:
    found: Iterator[object] = task.batches(0, DistributedContext())
    for _ in itertools.islice(found, ROWS // BATCH):
        pass


def ray_data(folder: Path, passes: int) -> None:
    """Read the table so often with Ray Data; print the seconds to the first batch and in all."""
    import ray.data

    began = time.perf_counter()
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    data = ray.data.read_parquet(str(folder / "train"), columns=["text", "image"])
    first = 0.0
    for _ in range(passes):
        for batch in data.iter_torch_batches(batch_size=BATCH):
            first = first or time.perf_counter() - began
            assert batch["image"].dtype == torch.uint16
    (folder / "ray.json").write_text(json.dumps([first, time.perf_counter() - began]))


def beside_ray(folder: Path) -> tuple[float, float, float]:
    """Return Ray Data's rows a CPU second and a second, and the seconds to its first batch."""
    seen = []
    for passes in (1, 1 + PASSES):
        cost = watch([sys.executable, "-m", __spec__.name, str(folder), str(passes)])
        first, seconds = json.loads((folder / "ray.json").read_text())
        seen.append((cost.cpu_seconds, seconds))
    cpu, wall = (more - less for less, more in zip(*seen, strict=True))
    return PASSES * ROWS / cpu, PASSES * ROWS / wall, first


def start(folder: Path, table: Table) -> None:
    """Print what the start costs, and what a shard does."""
    began = time.perf_counter()
    fresh = open_table(table.folder, "train/", SCHEMA)
    found = read_batches(fresh, ("text", "image"), seed=0, batch_size=BATCH, step=1_000_003)
    next(found).columns()
    first = time.perf_counter() - began
    found.close()
    many = folder / "many"
    (many / "train").mkdir(parents=True)
    for number in range(MANY_SHARDS):
        os.link(folder / "train/shard-00000.parquet", many / f"train/shard-{number:05d}.parquet")
    began = time.process_time()
    open_table(open_folder(many), "train/", SCHEMA)
    footers = (time.process_time() - began) / MANY_SHARDS
    opening = cpu_each(lambda _: table.read(0, ()), range(MANY_SHARDS))
    print(
        f"start-up: {first:.3f} s to the first batch of step 1,000,003; a shard costs "
        f"{1_000 * footers:.2f} ms at the start, and {1_000 * opening:.2f} ms for each row group "
        "that is read of it"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tokens-") as name:
        folder = Path(name)
        bpe = write(folder)
        table = open_table(open_folder(folder), "train/", SCHEMA)
        whole, dropping = task_of(table, bpe, 0.0), task_of(table, bpe, 0.1)
        taken = seconds(
            bare=lambda: bare(folder),
            reader=lambda: reader(table),
            batches=lambda: batches(whole),
            dropping=lambda: batches(dropping),
        )
        found = {name: ROWS / min(one.cpu for one in times) for name, times in taken.items()}
        print(
            f"plain pyarrow, row group after row group: {found['bare']:,.0f} rows a CPU second\n"
            f"our reader, shuffled, both columns as uint16 tensors: {found['reader']:,.0f}, "
            f"{found['reader'] / found['bare']:.2f} of plain pyarrow\n"
            f"the trainer's batches, with keys and captions: {found['batches']:,.0f}, "
            f"{found['batches'] / found['bare']:.2f}\n"
            f"the same with BPE dropout of 0.1: {found['dropping']:,.0f}; dropout alone "
            f"{1e6 / found['dropping'] - 1e6 / found['batches']:.0f} us a caption"
        )
        start(folder, table)
        of_cpu, of_wall, first = beside_ray(folder)
        print(
            f"ray.data.read_parquet(...).iter_torch_batches, not shuffled: {of_cpu:,.0f} rows a "
            f"CPU second of all its processes, {of_wall:,.0f} a second; our reader is "
            f"{found['reader'] / of_cpu:.1f} times as quick by CPU; {first:.1f} s to its first "
            "batch, Ray's start with it"
        )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        ray_data(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
