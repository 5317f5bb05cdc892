"""Completions by a finished demo: do they do what the caption says, and go on as the rows given?

`python -m tests.bench.completion runs/demo [pictures]` gives validation pairs' captions and the top
rows of their codes, as large a share as in the paper. Right is what shows every shape that the
caption names in its colour; background, what goes on below the edge in the tone it has above. By
chance: the same pictures, with captions and given rows of another pair.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from infra.store import Store
from pipelines.draw.image_prompt import PAPERS_SHARE
from pipelines.options import resolve
from schemas.artifacts import BPE, CLIP, DVAE, PRIOR, TOKEN_PAIRS, VAL
from schemas.folder import Inputs
from stages import shapes
from stages.data.parquet import read_rows
from stages.evaluate.intervals import wilson
from stages.evaluate.shares import chance
from stages.models.fidelity import psnr_db
from stages.pictures import Pixels
from stages.pictures.tensors import from_tensor
from stages.sample.generator import Generator, load_generator
from stages.shapes.world import BACKGROUNDS

PICTURES, CANDIDATES, SEED = 200, 16, 0
BORDER = 3  # pixels that are surely background
TILE, TOGETHER = 64, 4  # pictures, prompts: a lane of CANDIDATES for each


def tone(region: Pixels) -> int:
    """Name the background that the sides of a region are nearest to."""
    sides = np.concatenate([region[:, :BORDER], region[:, -BORDER:]], axis=1).reshape(-1, 3)
    away = np.abs(np.array(BACKGROUNDS) - np.median(sides, axis=0)).sum(axis=1)
    return int(away.argmin())


def completed(
    generator: Generator, captions: Sequence[str], given: torch.Tensor, candidates: int
) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield candidate 0 and the favourite for each caption and its given codes."""
    for start in range(0, len(captions), TOGETHER):
        some = slice(start, start + TOGETHER)
        for ranked in generator.draw(captions[some], range(candidates), SEED, given=given[some]):
            first = next(drawn for drawn in ranked if drawn.candidate == 0)
            yield first.pixels, ranked[0].pixels


def share(name: str, matrix: np.ndarray) -> str:
    """Return the share of pictures that do for their own row, its interval, and chance."""
    hits = np.diag(matrix)
    low, high = wilson(int(hits.sum()), len(hits))
    return f"{name} {hits.mean():4.0%} ({low:.0%} to {high:.0%}), by chance {chance(matrix):3.0%}"


def main(root: str, pictures: str = str(PICTURES)) -> None:
    torch.set_num_threads(1)
    store = Store(root)
    models = Inputs(
        {artifact.name: store.newest(artifact) for artifact in (BPE, DVAE, PRIOR, CLIP)}
    )
    generator = load_generator(models, resolve("demo").sample.model_copy(update={"tile": TILE}))
    folder = store.newest(TOKEN_PAIRS)
    pairs = list(islice(read_rows(folder, VAL, ["caption", "image"]), int(pictures)))
    captions = [pair["caption"] for pair in pairs]
    codes = torch.tensor([pair["image"] for pair in pairs])
    grid = generator.tokens.grid
    kept = round(grid * PAPERS_SHARE)
    edge = kept * generator.tokens.side // grid
    with torch.inference_mode():
        whole = np.concatenate(
            [
                from_tensor(generator.dvae.decode(some.view(-1, grid, grid)))
                for some in codes.split(16)
            ]
        )
    above = np.array([tone(picture[:edge]) for picture in whole])
    wanted = [Counter(shapes.named(caption)) for caption in captions]
    nothing, silent = codes[:, :0], [""] * len(captions)
    print(f"{len(pairs)} validation pairs, {kept} of {grid} rows given, {generator.sampling}")

    def report(name: str, drawn: Sequence[Pixels]) -> None:
        seen = [Counter(shapes.judge(picture)) for picture in drawn]
        below = np.array([tone(picture[edge:]) for picture in drawn])
        right = np.array([[named <= found for found in seen] for named in wanted])
        same = above[:, None] == below
        print(f"{name:22} {share('right', right)}; {share('background', same)}")
        print(f"{'':22} {share('both', right & same)}", flush=True)

    both = list(completed(generator, captions, codes[:, : kept * grid], CANDIDATES))
    report("caption and rows", [first for first, _ in both])
    report(f"  best of {CANDIDATES}", [best for _, best in both])
    report("rows alone", [p for p, _ in completed(generator, silent, codes[:, : kept * grid], 1)])
    report("caption alone", [p for p, _ in completed(generator, captions, nothing, 1)])
    report("the pairs themselves", list(whole))
    upper = np.stack([first for first, _ in both])[:, :edge].astype(np.float64)
    error = np.square((upper - whole[:, :edge]) / 255).mean()
    print(f"the given part of completions, against the decoded pair's: {psnr_db(error):.1f} dB")


if __name__ == "__main__":
    main(*sys.argv[1:])
