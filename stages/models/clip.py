"""The reranker: a CLIP that says how well a picture fits a caption (section 2.6).

The network is that of the `transformers` library, either trained here on our own text alphabet, or
a pretrained one with its own tokenizer and its own preparation of pictures (published_clip.py).
Both are used through `Reranker`.

Captions longer than the text tower are cut off, on purpose: the prior reads more than CLIP's 77.
`Reranker.truncates` says which, for those who tell people.

Dimensions: b batch, H W pixels, s side of the tower's pictures, t text slots, d projection.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerBase

from schemas.settings import ClipShape
from stages.models.bpe import Bpe
from stages.models.clip_pixels import Preparation

MAX_SCALE = 100.0  # Radford et al. 2021, section 2.5


@dataclass(frozen=True)
class OwnTokens:
    """Cuts captions with our alphabet: start, at most `text_len` - 2 ids, then end tokens."""

    bpe: Bpe
    text_len: int

    @property
    def start(self) -> int:
        """The first id that is not the alphabet's."""
        return self.bpe.vocab

    @property
    def end(self) -> int:
        """Where the tower is read, and what fills the rest."""
        return self.bpe.vocab + 1

    def __call__(self, captions: Sequence[str]) -> Int[Tensor, "b t"]:
        rows = torch.full((len(captions), self.text_len), self.end)
        rows[:, 0] = self.start
        for row, caption in zip(rows, captions, strict=True):
            ids = self.bpe.encode(caption)[: self.text_len - 2]
            row[1 : 1 + len(ids)] = torch.tensor(ids)
        return rows

    def truncates(self, caption: str) -> bool:
        """Say whether a caption has more ids than fit between start and end."""
        return len(self.bpe.encode(caption)) > self.text_len - 2


@dataclass(frozen=True)
class PublishedTokens:
    """Cuts captions with the tokenizer that a published CLIP came with."""

    tokenizer: PreTrainedTokenizerBase
    text_len: int

    def __call__(self, captions: Sequence[str]) -> Int[Tensor, "b t"]:
        rows = self.tokenizer(
            list(captions),
            padding="max_length",
            truncation=True,
            max_length=self.text_len,
            return_tensors="pt",
        )
        return rows["input_ids"]

    def truncates(self, caption: str) -> bool:
        """Say whether a caption has more ids than fit, with those that the tokenizer adds."""
        return len(self.tokenizer(caption, verbose=False)["input_ids"]) > self.text_len


Tokenize = OwnTokens | PublishedTokens


class Reranker(nn.Module):
    """A CLIP with the tokenizer and the preparation of pictures that belong to it."""

    mean: Tensor
    std: Tensor

    def __init__(self, clip: CLIPModel, tokenize: Tokenize, preparation: Preparation) -> None:
        super().__init__()
        self.clip = clip
        self.tokenize = tokenize
        self.preparation = preparation
        for name, colour in (("mean", preparation.mean), ("std", preparation.std)):
            self.register_buffer(name, rearrange(torch.tensor(colour), "c -> c 1 1"), False)

    def forward(
        self, pixels: Float[Tensor, "b 3 H W"], ids: Int[Tensor, "b t"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"], Float[Tensor, ""]]:
        """Return what `contrastive_nats` needs: image and text features, and their scale."""
        scale = self.clip.logit_scale.exp().reshape(())  # sharded, it is [1]
        return self.image_features(pixels), self.features_of_ids(ids), scale

    def image_features(self, pixels: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b d"]:
        """Describe square pictures in [0, 1] of any size by unit vectors."""
        prepared = (self.preparation.fit(pixels) - self.mean) / self.std
        tower = self.clip.vision_model(pixel_values=prepared)
        return F.normalize(self.clip.visual_projection(tower.pooler_output).float(), dim=-1)

    def text_features(self, captions: Sequence[str]) -> Float[Tensor, "b d"]:
        """Describe captions by unit vectors; the dot product with a picture's is the score."""
        return self.features_of_ids(self.tokenize(captions).to(self.mean.device))

    def truncates(self, caption: str) -> bool:
        """Say whether a caption is longer than the text tower, so that its end is not compared."""
        return self.tokenize.truncates(caption)

    def features_of_ids(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        """Describe tokenized captions by unit vectors.

        The tower is causal and read at the first end token: what follows it cannot matter.
        """
        tower = self.clip.text_model(input_ids=ids)
        return F.normalize(self.clip.text_projection(tower.pooler_output).float(), dim=-1)

    @torch.no_grad()
    def bound(self) -> None:
        """Bring the scale back to MAX_SCALE after an update.

        The weight itself: a scale that is clamped on its way has no gradient, and never comes down.
        """
        self.clip.logit_scale.clamp_(max=math.log(MAX_SCALE))


def contrastive_nats(
    image: Float[Tensor, "b d"], text: Float[Tensor, "b d"], scale: Float[Tensor, ""]
) -> Float[Tensor, " b"]:
    """Score each pair among all of the batch: the mean of both directions' cross entropy."""
    logits = scale * image @ text.T
    own = torch.arange(len(logits), device=logits.device)
    to_text = F.cross_entropy(logits, own, reduction="none")
    to_image = F.cross_entropy(logits.T, own, reduction="none")
    return (to_text + to_image) / 2


def fresh_reranker(shape: ClipShape, *, side: int, bpe: Bpe) -> Reranker:
    """Build a CLIP with new weights for pictures of `side` pixels and our own text alphabet."""
    tokenize = OwnTokens(bpe, shape.text_len)
    towers = {
        "hidden_size": shape.width,
        "intermediate_size": 4 * shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "projection_dim": shape.projection,
    }
    config = CLIPConfig(
        text_config=towers
        | {
            "vocab_size": tokenize.end + 1,
            "max_position_embeddings": shape.text_len,
            "bos_token_id": tokenize.start,
            "eos_token_id": tokenize.end,
            "pad_token_id": tokenize.end,
        },
        vision_config=towers | {"image_size": side, "patch_size": shape.patch},
        projection_dim=shape.projection,
    )

    return Reranker(CLIPModel(config), tokenize, Preparation.plain(side))
