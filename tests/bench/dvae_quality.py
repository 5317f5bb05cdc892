"""What the dVAE learns at 64 x 64 pixels with 512 codes: five seeds of a small world, and stamps.

`python -m tests.bench.dvae_quality world [SEED ...]` trains 3,000 updates of 16 pictures on the
demo's world and prints codes used, perplexity, PSNR and the gap between relaxed and hard codes on
1,000 fixed validation pictures (hard codes, averaged weights; seeds 0 to 4 unless told others).
`python -m tests.bench.dvae_quality stamps` trains 10,000 on Debian's package
tuxpaint-stamps-default and measures every tenth stamp, which is held out.
Sheets of originals above reconstructions, and all metrics, lie in runs/bench/.
"""

import hashlib
import io
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from infra.store import open_folder
from schemas.rows import CLEAN_PAIR
from schemas.settings import CrawlSettings, DvaeSettings, FitSettings, TrainingRun
from stages import pictures, shapes, weights
from stages.crawl.shrink import Shrink
from stages.data.parquet import PICTURE_FILE, parquet_bytes
from stages.data.table import first, open_table
from stages.train_dvae.health import alarm
from stages.train_dvae.measures import measure
from stages.train_dvae.task import DvaeTask
from stages.training.distributed import DistributedContext
from stages.training.trainer import Trainer

STAMPS = Path("/usr/share/tuxpaint/stamps")
SIDE, CODES = 64, 512
WORLD, MEASURED = 14_000, 1_000


def settings(corpus: str, seed: int) -> DvaeSettings:
    """Return the settings of a corpus: the number of updates and the weight of the KL differ."""
    fit = FitSettings(
        steps=UPDATES[corpus],
        batch_size=16,
        learning_rate=5e-3,
        learning_rate_end=1e-4,
        warmup_share=0.05,
        beta2=0.99,
        weight_decay=1e-4,
        clip_norm=1.0,
        ema_share=0.02,
        precision="auto",
        seed=seed,
    )
    return DvaeSettings(
        width=32, blocks=1, codebook_width=64, image_vocab=CODES, side=SIDE,
        beta=BETA[corpus], beta_ramp_share=0.003, temperature_end=1 / 16, temperature_share=1.0,
        fit=fit, run=TrainingRun(log_every=250),
    )  # fmt: skip


def world() -> tuple[list[pictures.Pixels], list[pictures.Pixels]]:
    """Return the demo's world, drawn at the side it is learned at, and its first pictures apart."""
    drawn = [shapes.draw(shapes.scene(0, n), SIDE) for n in range(WORLD)]
    return drawn[MEASURED:], drawn[:MEASURED]


def stamps() -> tuple[list[pictures.Pixels], list[pictures.Pixels]]:
    """Return stamps as a crawl keeps them, every tenth by a hash of its name apart."""
    files = sorted(STAMPS.rglob("*.png"), key=lambda f: hashlib.sha256(f.name.encode()).hexdigest())
    kept = [Shrink(CrawlSettings(side=SIDE))(io.BytesIO(file.read_bytes()))[0] for file in files]
    drawn = [pictures.decode(data) for data in kept if data is not None]
    large = [pixels for pixels in drawn if min(pixels.shape[:2]) >= SIDE]
    return [p for n, p in enumerate(large) if n % 10], large[::10]


def commit(root: Path, corpus: str) -> None:
    out = open_folder(root)
    if (root / "val").exists():
        return
    for split, found in zip(("train", "val"), CORPORA[corpus](), strict=True):
        files = [pictures.encode_png(pixels) for pixels in found]
        table = pa.Table.from_pylist(
            [
                {"key": f"{n:06d}", "url": "", "caption": "", "image": file, "group": str(n),
                 "width": pixels.shape[1], "height": pixels.shape[0], "sha256": f"{n:064d}"}
                for n, (pixels, file) in enumerate(zip(found, files, strict=True))
            ],
            CLEAN_PAIR,
        )  # fmt: skip
        data = parquet_bytes(table, dict(PICTURE_FILE) | {"row_group_size": 256})
        out.commit(f"{split}/shard-00000.parquet", data)


def say(step: int, line: str, *, alarm: bool = False) -> None:
    print(f"ALARM {line}" if alarm else line, flush=True)


def learn(corpus: str, seed: int) -> None:
    root = Path("runs/bench") / corpus
    commit(root / "clean_pairs", corpus)
    clean, out = open_folder(root / "clean_pairs"), open_folder(root / f"seed-{seed}")
    train, held_out = (open_table(clean, part, CLEAN_PAIR) for part in ("train/", "val/"))
    cfg = settings(corpus, seed)
    steps = cfg.fit.steps
    started, cpu = time.perf_counter(), time.process_time()
    Trainer(DvaeTask(cfg, train, held_out), cfg, out, DistributedContext(), say).fit()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu

    images = first(held_out, ("image",), MEASURED)["image"]
    centre = [pictures.crop_centre(pictures.decode(image), SIDE) for image in images]
    pixels = torch.from_numpy(np.stack(centre))
    with torch.no_grad():
        found, drawn = measure(weights.load_dvae(out), pixels, cfg.temperature_end, 16)
    rows = [image for k in (0, 8, 16) for image in (*centre[k : k + 8], *drawn[k : k + 8])]
    out.commit("sheet.png", pictures.encode_png(pictures.contact_sheet(rows, 8)))
    print(
        f"{corpus} seed {seed}: {found['codes_used']:.0f} codes, perplexity "
        f"{found['perplexity']:.1f}, {found['psnr_db']:.2f} dB (one colour "
        f"{found['mean_colour_psnr_db']:.2f}), SSIM {found['ssim']:.3f}, gap "
        f"{found['psnr_gap_db']:.2f} dB, {steps} updates in {seconds:.0f} s ({cpu:.0f} of CPU), "
        f"{torch.get_num_threads()} threads; alarm: {alarm(found, cfg, steps)}",
        flush=True,
    )


CORPORA = {"world": world, "stamps": stamps}
UPDATES = {"world": 3_000, "stamps": 10_000}
BETA = {"world": 10.0, "stamps": 14.0}
SEEDS = {"world": range(5), "stamps": range(1)}

if __name__ == "__main__":
    corpus, *seeds = sys.argv[1:]
    for seed in map(int, seeds) if seeds else SEEDS[corpus]:
        learn(corpus, seed)
