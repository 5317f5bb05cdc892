"""Beside every learned part, the simplest thing that does its job, from the run's own data.

dVAE      k-means on patches: the same squares, as many codes (patch_kmeans)
prior     how often codes occur, where, and beside which others (code_frequencies)
drawing   the training picture whose caption is nearest in words (nearest_captions, drawings)
CLIP      a random choice, the prior's, both, and the best that any choice could do (choosers)

`comparison` says which parts are not better. All of it takes seconds.
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from jaxtyping import Int

from schemas.artifacts import CLEAN_PAIRS, DVAE, PRIOR, TOKEN_PAIRS, TRAIN
from schemas.folder import Folder, Inputs
from schemas.rows import matrix
from schemas.run_report.baselines_part import (
    Baselines,
    CodeCountFigures,
    PatchKmeansFigures,
    SsimBeside,
)
from schemas.run_report.models_part import DvaeFigures
from schemas.run_report.networks_part import NetworkFigures
from stages.data.parquet import read_rows, row_groups, validation_part
from stages.data.table import PRIOR_VALIDATION_ROWS
from stages.evaluate.advice import Advice
from stages.evaluate.baselines.code_frequencies import nats_per_code
from stages.evaluate.baselines.comparison import compared
from stages.evaluate.baselines.drawings import KeptPrompts, beside_nearest
from stages.evaluate.reconstructions import Captioned, captioned, reconstruct, through_dvae
from stages.models.clip import Reranker
from stages.models.fidelity import ssim
from stages.models.patch_kmeans import PICTURES, PatchKmeans
from stages.pictures import Pixels

__all__ = ["KeptPrompts", "baselines", "first_tokens"]

ROWS = 16_384  # training rows whose codes are counted, the first ones: a fair sample


def baselines(
    inputs: Inputs,
    pictures: Sequence[Captioned],
    clip: Reranker,
    drawn: KeptPrompts,
    nearest: Sequence[Pixels | None],
    ours: DvaeFigures,
    networks: Sequence[NetworkFigures],
    advice: Advice,
) -> Baselines:
    """Measure every baseline, on the validation pictures and prompts that the report measures.

    `nearest` are the training pictures of the captions that are nearest to the prompts, and what
    networks saw of these is in `networks`. `advice` is given where a part is not better.
    """
    settings = inputs.manifest(DVAE).settings
    side, image_vocab = settings["side"], settings["image_vocab"]
    patch = settings.get("patch", 8)  # not said by artifacts that could have no other
    measured = Baselines(
        dvae=beside_dvae(inputs, pictures, side, image_vocab, patch),
        prior=beside_prior(inputs, image_vocab),
        drawing=beside_nearest(drawn.kept, nearest, clip),
        clip=drawn.by_score(),
        compared=(),
    )
    rows = compared(ours, drawn.candidates, measured, advice, networks)
    return measured.model_copy(update={"compared": rows})


def beside_dvae(
    inputs: Inputs, pictures: Sequence[Captioned], side: int, image_vocab: int, patch: int
) -> PatchKmeansFigures:
    """Return the numbers of the report's `dvae` part for k-means on training pictures."""
    rows = read_rows(inputs.folder(CLEAN_PAIRS), TRAIN, ["caption", "image"])
    train = [picture.pixels for picture in islice(captioned(rows, side), PICTURES)]
    kmeans = PatchKmeans.of(torch.from_numpy(np.stack(train)), patch, image_vocab)
    pixels = [picture.pixels for picture in pictures]
    figures = reconstruct(kmeans, pixels, image_vocab, keep=0).figures()
    both = None
    if "ssim" in (health := inputs.manifest(DVAE).health):
        own = health["positions"] // (side // patch) ** 2
        both = SsimBeside(ours=health["ssim"], kmeans=mean_ssim(kmeans, pixels[:own]))
    return PatchKmeansFigures(training_pictures=len(train), ssim=both, **figures.model_dump())


def mean_ssim(kmeans: PatchKmeans, pictures: Sequence[Pixels]) -> float:
    found = [ssim(drawn, pixels) for pixels, drawn, _ in through_dvae(kmeans, pictures)]
    return torch.cat(found).mean().item()


def beside_prior(inputs: Inputs, image_vocab: int) -> CodeCountFigures:
    """Return nats per code by counts, on the rows behind the prior's own validation."""
    folder = inputs.folder(TOKEN_PAIRS)
    train = first_tokens(folder, TRAIN, ROWS)
    held_out = first_tokens(folder, validation_part(folder), PRIOR_VALIDATION_ROWS)
    return CodeCountFigures(
        training_rows=len(train),
        validation_rows=len(held_out),
        prior=inputs.manifest(PRIOR).health.get("validation_image"),
        **nats_per_code(train, held_out, image_vocab),
    )


def first_tokens(
    folder: Folder, part: str, count: int, column: str = "image"
) -> Int[np.ndarray, "n I"]:
    """Return the codes of the first `count` rows of a part of token_pairs; of all, if fewer."""
    groups = (
        matrix(group[column])
        for name in folder.list(part)
        for group in row_groups(folder, name, [column])
    )
    found: list[np.ndarray] = []
    while sum(map(len, found)) < count and (group := next(groups, None)) is not None:
        found.append(group)
    return np.concatenate(found)[:count].astype(np.int64)
