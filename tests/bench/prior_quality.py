"""The prior's options on a run's tokens: nats per held-out code after the same CPU seconds.

`python -m tests.bench.prior_quality RUN PRESET SECONDS [name=value,...] ...` trains the prior of a
preset once for each variant, on one core, on the tokens that a finished run left. An assignment of
a variant is a setting of the prior: `fit.optimizer=muon,dropout=0.1`. What an update costs is timed
first, all variants in turns, and says how many updates the seconds are. Beside them stand the
simplest priors, which count.
"""

import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import torch

from infra.store import Store, open_folder
from pipelines.options import resolve
from schemas import rows
from schemas.artifacts import BPE, DVAE, TOKEN_PAIRS, TRAIN, VAL
from schemas.settings import PriorSettings
from stages import weights
from stages.data.table import PRIOR_VALIDATION_ROWS, Table, first, open_table
from stages.evaluate.baselines.code_frequencies import nats_per_code
from stages.train_prior.task import PriorTask
from stages.training.distributed import DistributedContext
from stages.training.trainer import Trainer

ALONE = DistributedContext()
ROUNDS = 4  # of timing
NEVER = 10**9
SILENT = tuple(f"prior.run.{name}_every={NEVER}" for name in ("save", "validate", "log"))


def tokens_of(store: Store, cfg: PriorSettings) -> tuple[Table, Table]:
    schema = rows.token_pair(text_len=cfg.tokens.text_len, grid=cfg.tokens.grid)
    pairs = store.newest(TOKEN_PAIRS)
    return open_table(pairs, TRAIN, schema), open_table(pairs, VAL, schema)


def trainer_of(store: Store, cfg: PriorSettings, out: str) -> Trainer:
    train, val = tokens_of(store, cfg)
    bpe = weights.load_bpe(store.newest(BPE))
    task = PriorTask(cfg, train, val, bpe, store.newest(DVAE))
    return Trainer(task, cfg, open_folder(out), ALONE, lambda step, line, alarm=False: None)


def settings(preset: str, variant: str) -> PriorSettings:
    changes = [f"prior.{one}" for one in variant.split(",") if "=" in one]
    return resolve(preset, None, [*SILENT, *changes]).prior


def seconds_of_updates(store: Store, found: dict[str, PriorSettings]) -> dict[str, float]:
    """Return the least CPU seconds of an update of each, timed in turns."""
    least = dict.fromkeys(found, float("inf"))
    with tempfile.TemporaryDirectory() as root:
        trainers = {name: trainer_of(store, cfg, f"{root}/{name}") for name, cfg in found.items()}
        batches = {name: t.task.batches(0, ALONE) for name, t in trainers.items()}
        for _ in range(ROUNDS):
            for name, trainer in trainers.items():
                started = time.process_time()
                trainer.timed_step(batches[name])
                least[name] = min(least[name], time.process_time() - started)
    return least


def simplest(store: Store, cfg: PriorSettings) -> str:
    train, val = tokens_of(store, cfg)
    codes = [
        first(table, ("image",), count)["image"].astype(np.int64)
        for table, count in ((train, train.rows), (val, PRIOR_VALIDATION_ROWS))
    ]
    found = nats_per_code(*codes, cfg.tokens.image_vocab)
    return ", ".join(f"{name} {nats:.4f}" for name, nats in found.items())


def lines(store: Store, preset: str, budget: float, variants: list[str]) -> Iterator[str]:
    """Yield the simplest priors, the head of the table, then one line for each variant."""
    found = {variant: settings(preset, variant) for variant in variants}
    yield simplest(store, next(iter(found.values())))
    cost = seconds_of_updates(store, found)
    yield "image nats  text nats  kept  updates  epochs  CPU s  variant"
    for variant in variants:
        steps = round(budget / cost[variant])
        cfg = settings(preset, f"{variant},fit.steps={steps}")
        started = time.process_time()
        with tempfile.TemporaryDirectory() as out:
            trainer = trainer_of(store, cfg, out)
            health = trainer.fit()
        epochs = steps * cfg.fit.batch_size / trainer.task.train.rows
        yield (
            f"{health['validation_image']:10.4f}  {health['validation_text']:9.4f}  "
            f"{health.get('kept_step', steps):4.0f}  {steps:7}  {epochs:6.1f}  "
            f"{time.process_time() - started:5.0f}  {variant}"
        )


def main(root: str, preset: str, budget: str, *variants: str) -> None:
    torch.set_num_threads(1)
    for line in lines(Store(root), preset, float(budget), list(variants or ["as it is"])):
        print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
