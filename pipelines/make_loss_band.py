"""Make the band of usual training losses from finished priors.

python -m pipelines.make_loss_band demo runs/demo/prior/*
    reads metrics.jsonl and manifest.json of each folder, and writes
    stages/training/bands/demo.json

The priors may differ only in their seeds. Fewer than three do not show what a
seed can change, and need a wide --margin.
"""

import argparse
import json
import sys
from collections.abc import Sequence

import numpy as np

from infra.folders import open_folder
from infra.store import read_manifest
from pipelines.command import arguments, command, program
from schemas.artifacts import METRICS
from schemas.errors import ArtifactMissing, ConfigError
from schemas.settings import PriorSettings
from stages.training.loss_band import FOLDER, LossBand, without_seed

TERMS = ("text", "image")
SHARES = 40  # points along a run
RUNS = 3  # enough to show what seeds can change: two may be alike by chance
MARGIN = 0.02  # share of the loss added on each side of what the runs differ by
WIDE = 0.1  # the least margin of fewer runs


def parser() -> argparse.ArgumentParser:
    line = arguments("make_loss_band", __doc__)
    line.add_argument("name", help="name of the file: that of the preset")
    line.add_argument("folders", nargs="+", help="finished priors")
    line.add_argument("--margin", type=float, default=MARGIN,
                      help=f"share of the loss added on each side (default {MARGIN})")  # fmt: skip
    return line


@command(parser)
def main(args: argparse.Namespace) -> None:
    band = band_from(args.folders, args.margin)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{args.name}.json"
    path.write_text(band.model_dump_json(indent=1) + "\n")
    print(f"{path}: runs: {band.runs}")


def band_from(folders: Sequence[str], margin: float) -> LossBand:
    """Return the band of runs; raise ConfigError if they are few or of several kinds."""
    jobs, curves = zip(*(read(folder) for folder in folders), strict=True)
    kinds = [without_seed(job) for job in jobs]
    seeds = {job.fit.seed for job in jobs}
    if any(kind != kinds[0] for kind in kinds):
        raise ConfigError("wanted runs with the same settings but for fit.seed, found others")
    if len(seeds) < len(jobs):
        raise ConfigError(f"wanted a seed of its own for each run, found {len(jobs)} of {seeds}")
    if len(seeds) < RUNS and margin < WIDE:
        raise ConfigError(
            f"wanted {RUNS} seeds or a margin of at least {WIDE}, found {len(seeds)} and {margin}; "
            f"train more with --set prior.fit.seed=..., or say --margin {WIDE}"
        )
    shares = [n / SHARES for n in range(SHARES + 1)]
    low, high = {}, {}
    for number, name in enumerate(TERMS):
        losses = np.stack([np.interp(shares, c[0], c[1 + number]) for c in curves])
        low[name], high[name] = edges(losses, margin)
    return LossBand(settings=kinds[0], runs=len(jobs), shares=tuple(shares), low=low, high=high)


def read(folder: str) -> tuple[PriorSettings, np.ndarray]:
    """Return a run's settings, and rows of: middle of each log window, mean of each term in it."""
    found = open_folder(folder)
    manifest = read_manifest(found)
    if manifest is None or not found.exists(METRICS):
        raise ArtifactMissing(f"wanted a finished prior in {folder}, found none")
    job = PriorSettings.model_validate(manifest.settings)
    with found.open(METRICS) as file:
        lines = [line for line in map(json.loads, file) if line.get("loss") is not None]
    steps = np.array([0, *(line["step"] for line in lines)])
    middles = (steps[1:] + steps[:-1]) / 2 / job.fit.steps
    return job, np.stack([middles, *([line[name] for line in lines] for name in TERMS)])


def edges(losses: np.ndarray, margin: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the lower and upper edge around curves (run, share), twice as wide as they are.

    Neighbouring shares count too, because a log window may lie a little further on. Widths are
    ratios, because losses fall by much at first.
    """
    near = np.pad(losses, ((0, 0), (1, 1)), mode="edge")
    near = np.stack([near[:, :-2], near[:, 1:-1], near[:, 2:]])
    lowest, highest = near.min((0, 1)), near.max((0, 1))
    room = np.sqrt(highest / lowest) * (1 + margin)
    low, high = (tuple(float(f"{x:.4g}") for x in edge) for edge in (lowest / room, highest * room))
    return low, high


if __name__ == "__main__":
    sys.exit(program(main))
