"""A task small enough to be worked out by hand: a line through points, with two terms of loss."""

import itertools
import os
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from schemas.errors import SchemaMismatch
from schemas.settings import TrainingRun, TrainingSettings
from stages.pictures import encode_png
from stages.training.distributed import DistributedContext
from stages.training.task import Task, Validation

DOT = encode_png(np.zeros((1, 1, 3), np.uint8))
ALONE = DistributedContext()
TRUTH = torch.tensor([2.0, -1.0, 0.5])


SHORT = {  # of the trainers' runs
    "steps": 8, "batch_size": 8, "learning_rate": 2e-3, "learning_rate_end": 1e-3,
    "ema_share": 0.2, "save_every": 4, "validate_every": 4, "log_every": 2, "threads": 1,
}  # fmt: skip


def settings(**changes):
    common = {
        "steps": 12, "batch_size": 8, "learning_rate": 0.05, "learning_rate_end": 0.01,
        "warmup_share": 0.2,
        "beta2": 0.96, "weight_decay": 0.01, "variance_clip": 5.0, "clip_norm": 1.0,
        "ema_share": 0.5, "ema_every": 2, "save_every": 4, "validate_every": 5, "log_every": 3,
    }  # fmt: skip
    return TrainingSettings(**nodes(common | changes))


def nodes(flat):
    """The settings of a training as its two nodes; copies that are compressed are as sharded."""
    run = {name: value for name, value in flat.items() if name in TrainingRun.model_fields}
    fit = {name: value for name, value in flat.items() if name not in run}
    parts = {"powersgd_parts": run.get("shard_size") or 1} if fit.get("powersgd_rank") else {}
    return {"fit": parts | fit, "run": run}


def flat(cfg):
    return cfg.fit.model_dump() | cfg.run.model_dump()


@dataclass
class Line(Task):
    """Squared error of every row, and of rows with an even number the absolute error."""

    cfg: TrainingSettings
    stop_at: int | None = None  # fail like a killed process before this step
    poisoned: frozenset[int] = frozenset()  # steps whose loss is not finite
    noise: float = 0.1
    keep: tuple[int, int] = (1, 1)  # of rank 0's rows, and of the others', one in so many
    seen: list[list[int]] = field(default_factory=list)
    name: str = "toy"

    def build(self):
        return nn.Linear(3, 1)

    prepare = None  # of no table

    def batches(self, step, context):
        for k in itertools.count(step):
            if k == self.stop_at:
                raise KeyboardInterrupt
            size = self.cfg.fit.batch_size
            rows = np.arange(k * size + context.rank, (k + 1) * size, context.world_size)
            rows = rows[:: self.keep[min(context.rank, 1)]]
            self.seen.append(rows.tolist())
            yield points(rows.tolist())

    def loss_counts(self, batch):
        return {"square": len(batch["x"]), "absolute": int(batch["even"].sum())}

    def loss_weights(self, step):
        return {"square": 0.75, "absolute": 0.25 + 0.01 * step}

    def loss_sums(self, model, batch, step):
        x = batch["x"] + self.noise * torch.randn(3)  # one draw an update: must be resumable
        error = model(x)[:, 0] - batch["y"]
        if step in self.poisoned:
            error = error / 0
        return {"square": error.square().sum(), "absolute": error.abs()[batch["even"]].sum()}

    def schedule(self, step):
        return {"heat": 1.0 - step / 100}

    def validate(self, model, step):
        distance = (model.weight[0] - TRUTH).norm().item()
        return Validation(
            {"distance": distance}, {"dot": DOT}, f"far at step {step}" if step < 6 else None
        )

    def export(self, model, out):
        out.commit("weights", repr(model.weight.tolist()).encode())


class Bend(nn.Module):
    """A block: two layers beside a skip."""

    def __init__(self, width, hidden=5):
        super().__init__()
        self.inside, self.out = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return x + self.out(self.inside(x).tanh())


class Deep(Line):
    """The same points learned by a model of three blocks; odd sizes, so no two parts are equal."""

    def build(self):
        return nn.Sequential(nn.Linear(3, 7), Bend(7), Bend(7), Bend(7), nn.Linear(7, 1))

    def layers(self, model):
        return [module for module in model if isinstance(module, Bend)]

    def validate(self, model, step):
        error = model(points([99])["x"]) - points([99])["y"]
        return Validation({"distance": error.abs().item()})

    def export(self, model, out):
        out.commit("weights", repr([weight.tolist() for weight in model.parameters()]).encode())


class Wide(Deep):
    """Blocks in which the gradient of a batch of eight rows has rank eight, far from full."""

    def build(self):
        blocks = [Bend(40, hidden=33) for _ in range(2)]
        return nn.Sequential(nn.Linear(3, 40), *blocks, nn.Linear(40, 1))


def silent(step, line, *, alarm=False):
    """Say nothing."""


def points(rows):
    x = torch.stack([torch.randn(3, generator=torch.Generator().manual_seed(r)) for r in rows])
    return {"x": x, "y": x @ TRUTH, "even": torch.tensor(rows) % 2 == 0}


@dataclass
class Dies(Line):
    """Its process is gone at step 9, the first time."""

    marker: str = ""

    def batches(self, step, context):
        for k, batch in enumerate(super().batches(step, context), start=step):
            if k == 9 and not os.path.exists(self.marker):
                open(self.marker, "x").close()
                os._exit(9)
            yield batch


class Refuses(Line):
    """Finds that its rows are not what it was promised."""

    def batches(self, step, context):
        raise SchemaMismatch("wanted this, found that")
