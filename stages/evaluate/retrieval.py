"""Can CLIP tell which caption belongs to a picture? If not, its ranking means nothing."""

from collections.abc import Sequence

import numpy as np
import torch

from stages.evaluate.measures import RETRIEVAL_CAPTIONS, matched, wilson
from stages.evaluate.reconstructions import TILE, Captioned
from stages.models.clip import Reranker
from stages.pictures import to_tensor


@torch.inference_mode()
def retrieval(clip: Reranker, pictures: Sequence[Captioned]) -> dict[str, float | list[float]]:
    """Return R-precision over validation pictures, in groups of a hundred in their order.

    A last group that is smaller is left out, unless it is the only one.
    """
    if not pictures:
        return {}
    size = min(RETRIEVAL_CAPTIONS, len(pictures))
    groups = [pictures[i : i + size] for i in range(0, len(pictures) - size + 1, size)]
    hits = np.concatenate([_matched(clip, group) for group in groups])
    return {
        "r_precision": float(hits.mean()),
        "r_precision_interval": list(wilson(int(hits.sum()), len(hits))),
        "pictures": len(hits),
        "captions": size,
        "chance": 1 / size,
    }


def _matched(clip: Reranker, group: Sequence[Captioned]) -> np.ndarray:
    text = clip.text_features([picture.caption for picture in group])
    tiles = [group[i : i + TILE] for i in range(0, len(group), TILE)]
    image = torch.cat([clip.image_features(to_tensor([p.pixels for p in tile])) for tile in tiles])
    return matched((image @ text.T).numpy(), [picture.caption for picture in group])
