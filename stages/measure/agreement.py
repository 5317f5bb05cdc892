"""Score how well picture and caption agree, by a pretrained CLIP (not the one trained here)."""

from collections.abc import Sequence

import torch

from stages import pictures
from stages.models.published_clip import pretrained_reranker
from stages.pictures.tensors import to_tensor


class Agreement:
    """The CLIP, opened once; raises ConfigError where there is none of that name."""

    def __init__(self, path: str) -> None:
        self.reranker = pretrained_reranker(path, setting="measure.clip")

    @torch.inference_mode()
    def scores(self, images: Sequence[bytes], captions: Sequence[str]) -> list[float]:
        """Return the cosine of each picture and its caption, -1 to 1."""
        text = self.reranker.text_features(captions)
        described = [self.reranker.image_features(_pixels(image)) for image in images]
        return (torch.cat(described) * text).sum(-1).tolist()


def _pixels(image: bytes) -> torch.Tensor:
    """Return a picture's middle square as 1 x 3 x side x side, in [0, 1]."""
    pixels = pictures.decode(image)
    return to_tensor([pictures.crop_centre(pixels, min(pixels.shape[:2]))])
