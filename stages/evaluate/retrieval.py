"""Can CLIP tell which caption belongs to a picture? If not, its ranking means nothing."""

from collections.abc import Sequence

import torch

from stages.evaluate.measures import exact
from stages.evaluate.reconstructions import TILE, Captioned
from stages.models.clip import Reranker
from stages.models.retrieval import found_by_luck, r_precision
from stages.pictures import to_tensor


@torch.inference_mode()
def retrieval(clip: Reranker, pictures: Sequence[Captioned]) -> dict[str, float | list[float]]:
    """Return R-precision over validation pictures, with its interval and what luck would find."""
    if not pictures:
        return {}
    tiles = [pictures[i : i + TILE] for i in range(0, len(pictures), TILE)]
    image = torch.cat([clip.image_features(to_tensor([p.pixels for p in tile])) for tile in tiles])
    text = torch.cat([clip.text_features([p.caption for p in tile]) for tile in tiles])
    scores, captions = (image @ text.T).numpy(), [p.caption for p in pictures]
    hits, chance = r_precision(scores, captions)
    return {
        "r_precision": float(hits.mean()),
        "r_precision_interval": list(exact(int(hits.sum()), len(hits))),
        "pictures": len(hits),
        "captions": len(set(captions)),
        "chance": chance,
        "by_luck": found_by_luck(scores, captions),
    }
