"""The dVAE's training step against the released modules', and the stage against its bare step.

`python -m tests.bench.dvae [threads]`: all ratios from one run on the CPU; without a number, with
all its cores. On a machine that does other work, one thread and CPU seconds say more.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from dall_e.decoder import Decoder
from dall_e.encoder import Encoder

from infra.store import open_folder
from schemas import rows
from schemas.artifacts import CLEAN_PAIRS, METRICS, TRAIN
from schemas.folder import Inputs
from schemas.manifest import Result
from schemas.settings import DvaeSettings, FitSettings, TrainingRun
from stages.data.parquet import PICTURE_FILE, parquet_bytes
from stages.data.table import open_table
from stages.models.dvae import Dvae, elbo_terms, kl_to_uniform, logit_laplace_nll, map_pixels
from stages.models.flops import dvae_flops
from stages.pictures.tensors import to_tensor
from stages.train_dvae.task import DvaeTask
from stages.training.distributed import DistributedContext
from stages.training.precision import product_type, without_subnormals
from stages.training.trainer import Trainer
from tests.bench.clock import MATRIX, Taken, in_words, matrix_product, middle, ratio, seconds
from tests.bench.looks import picture
from tests.bench.updates import update
from tests.stages.finished import finish
from tests.stages.models.losses import elbo_loss

SIDE, CODES, BATCH = 64, 512, 32  # the released modules have 512 codes and 64 channels at least
PICTURES, STEPS, LOG_EVERY = 384, 24, 4
TEMPERATURE = 0.5
CPU = torch.device("cpu")

JOB = DvaeSettings(
    width=64,
    blocks=2,
    codebook_width=128,
    image_vocab=CODES,
    side=SIDE,
    fit=FitSettings(
        steps=STEPS,
        batch_size=BATCH,
        learning_rate=1e-4,
        learning_rate_end=1e-5,
        ema_share=0.1,
        precision="auto",
    ),
    run=TrainingRun(log_every=LOG_EVERY, save_every=STEPS, validate_every=STEPS),
)


def batch() -> torch.Tensor:
    return torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8)


def released_step() -> Callable[[], None]:
    """Return an update of the released modules as one would write it: eager, in 32 bits."""
    sizes = {"n_hid": JOB.width, "n_blk_per_group": JOB.blocks, "vocab_size": CODES}
    encoder, decoder = Encoder(**sizes), Decoder(**sizes, n_init=JOB.codebook_width)
    for module in (encoder, decoder):
        module.requires_grad_(True)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=1e-4)
    pixels = batch().permute(0, 3, 1, 2).float().contiguous() / 255

    def step() -> None:
        target = map_pixels(pixels)
        logits = encoder(target)
        mu, ln_b = decoder(F.gumbel_softmax(logits, tau=TEMPERATURE, dim=1)).chunk(2, dim=1)
        nats = logit_laplace_nll(target, mu, ln_b).mean()
        (nats + 6.6 / 192 * kl_to_uniform(logits).mean()).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def our_step(bfloat16: bool) -> Callable[[], None]:
    """Return an update of our model with data in memory, without anything of the loop."""
    model = Dvae(JOB, CODES).to(memory_format=torch.channels_last)
    stored = batch()

    def loss() -> torch.Tensor:
        return elbo_loss(elbo_terms(model, to_tensor(stored), TEMPERATURE), 6.6)

    return update(model, loss, bfloat16)


def pairs(root: Path) -> Inputs:
    """Write clean pairs whose pictures are as the crawl stores them."""
    out = open_folder(root / "clean_pairs")
    table = pa.Table.from_pylist(list(pair_rows(PICTURES)), schema=rows.CLEAN_PAIR)
    data = parquet_bytes(table, dict(PICTURE_FILE) | {"row_group_size": 128})
    for split in ("train", "val"):
        out.commit(f"{split}/shard-00000.parquet", data)
    return finish(out, CLEAN_PAIRS, Result(rows_in=PICTURES, rows_out=PICTURES))


def pair_rows(count: int, side: int = SIDE) -> Iterator[dict]:
    """Yield rows whose pictures have a short side of 1 to 1.5 times the training side."""
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = picture(rng)
        scale = side * rng.uniform(1, 1.5) / min(pixels.shape[:2])
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = pixels.shape[:2]
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        yield {
            "key": f"{number:06d}", "url": "", "caption": "noise", "image": data, "width": width,
            "height": height, "sha256": f"{number:064x}", "group": str(number),
        }  # fmt: skip


class Stage(NamedTuple):
    """A run of the stage, after its first few updates."""

    seconds: Taken  # for one update
    waiting_share: float


def stage(root: Path, threads: int) -> Stage:
    """Run the stage's loop in this process, so that its CPU time is known."""
    inputs, out = pairs(root), open_folder(root / "dvae")
    folder = inputs.folder(CLEAN_PAIRS)
    train = open_table(folder, TRAIN, rows.CLEAN_PAIR)
    run = JOB.run.model_copy(update={"threads": threads})
    cfg = JOB.model_copy(update={"run": run})
    task = DvaeTask(cfg, train, train)
    seen: list[tuple[int, float, float]] = []

    def look(step: int, line: str, *, alarm: bool = False) -> None:
        seen.append((step, time.perf_counter(), time.process_time()))

    Trainer(task, cfg, out, DistributedContext(), look).fit()
    with out.open(METRICS) as file:
        lines = [line for line in map(json.loads, file) if "loss" in line]
    first, last = seen[0], seen[len(lines) - 1]
    updates = last[0] - first[0]
    taken = Taken((last[1] - first[1]) / updates, (last[2] - first[2]) / updates)
    return Stage(taken, statistics.mean(line["waiting_share"] for line in lines[1:]))


@without_subnormals()
def main(threads: int = len(os.sched_getaffinity(0))) -> None:
    """Print the three ratios, each by the clock on the wall and in CPU seconds."""
    torch.set_num_threads(threads)
    bfloat16 = product_type("auto", CPU) is torch.bfloat16
    name = "bfloat16" if bfloat16 else "float32"
    model = Dvae(JOB, CODES)
    print(
        f"dVAE of {JOB.width} channels, {JOB.blocks} blocks a group, {CODES} codes, {BATCH} "
        f"pictures of {SIDE} x {SIDE}; threads: {threads}; products in {name}"
    )
    taken = seconds(
        released=released_step(),
        float32=our_step(False),
        ours=our_step(bfloat16),
        product=matrix_product(torch.bfloat16 if bfloat16 else torch.float32),
    )
    released = taken["released"]
    print(f"training step of the released modules, eager, float32: {in_words(released)}")
    for what in ("float32", "ours"):
        times = taken[what]
        print(
            f"training step of ours, {name if what == 'ours' else what}: {in_words(times)}; "
            f"{ratio(released, times, 'wall'):.2f} times as fast "
            f"({ratio(released, times, 'cpu'):.2f} in CPU seconds)"
        )
    step, product = middle(taken["ours"], "cpu"), middle(taken["product"], "cpu")
    step_rate = 3 * dvae_flops(model, SIDE) * BATCH / step
    product_rate = 2 * MATRIX**3 / product
    print(
        f"training step: {step_rate / 1e9:.0f} GFLOP per CPU second, "
        f"{step_rate / product_rate:.2f} of a {name} matrix product's {product_rate / 1e9:.0f} "
        f"(side {MATRIX:,})"
    )
    bare = seconds(ours=our_step(bfloat16))["ours"]
    with tempfile.TemporaryDirectory() as folder:
        whole = stage(Path(folder), threads)
    bare += seconds(ours=our_step(bfloat16))["ours"]
    print(
        f"stage from Parquet, decoded and augmented: {in_words([whole.seconds])}; "
        f"{middle(bare, 'wall') / whole.seconds.wall:.2f} of the throughput of the bare step with "
        f"data in memory ({middle(bare, 'cpu') / whole.seconds.cpu:.2f} in CPU seconds; "
        f"{in_words(bare)}); {whole.waiting_share:.1%} of the time waiting for data"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
