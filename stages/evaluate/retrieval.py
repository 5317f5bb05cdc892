"""R-precision: how often CLIP finds the caption of a picture. At chance, its ranking is noise."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from schemas.run_report.models_part import RetrievalFigures
from stages.evaluate.intervals import exact
from stages.evaluate.reconstructions import TILE, Captioned
from stages.models.clip import Reranker
from stages.models.r_precision import found_by_luck, r_precision
from stages.pictures.tensors import to_tensor


@torch.inference_mode()
def caption_scores(clip: Reranker, pictures: Sequence[Captioned]) -> Float[np.ndarray, "p p"]:
    """Return CLIP's score of each picture (a row) with the caption of each (a column)."""
    tiles = [pictures[i : i + TILE] for i in range(0, len(pictures), TILE)]
    scores = clip.scores(
        (to_tensor([p.pixels for p in tile]), [p.caption for p in tile]) for tile in tiles
    )
    return scores.numpy()


def figures(scores: Float[np.ndarray, "p p"], captions: Sequence[str]) -> RetrievalFigures:
    """Return R-precision over validation pictures, with its interval and what luck would find."""
    hits, chance = r_precision(scores, captions)
    return RetrievalFigures(
        r_precision=float(hits.mean()),
        r_precision_interval=exact(int(hits.sum()), len(hits)),
        pictures=len(hits),
        captions=len(set(captions)),
        chance=chance,
        by_luck=found_by_luck(scores, captions),
    )
