"""The reranker: a CLIP that scores how well a picture fits a caption (section 2.6).

The network is that of the `transformers` library, either trained here on our own BPE, or a
pretrained one with its own tokenizer and preprocessing (published_clip.py). Both are used through
`Reranker`.

Captions longer than the text tower are cut off, on purpose: the prior reads more than CLIP's 77
tokens. `Reranker.truncates` says which.

Dimensions: b batch, p pictures or captions, H W pixels, s side of the tower, t text slots,
d projection.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from schemas.settings import ClipShape
from stages.models.bpe import Bpe
from stages.models.clip_preprocessing import Preprocessing

if TYPE_CHECKING:  # importing transformers takes seconds: only what builds a CLIP does
    from transformers import CLIPModel, PreTrainedTokenizerBase

MAX_SCALE = 100.0  # Radford et al. 2021, section 2.5


@dataclass(frozen=True)
class OwnTokens:
    """Tokenizes captions with our BPE: start, at most `text_len` - 2 ids, then end tokens."""

    bpe: Bpe
    text_len: int

    @property
    def start(self) -> int:
        """The id before a caption, the first that is not the BPE's."""
        return self.bpe.vocab

    @property
    def end(self) -> int:
        """The id after a caption, where the tower is read; it also fills the rest of the row."""
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
    """Tokenizes captions with the tokenizer that a published CLIP came with."""

    tokenizer: "PreTrainedTokenizerBase"
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
        """Say whether a caption has more ids than fit, its start and end counted."""
        return len(self.tokenizer(caption, verbose=False)["input_ids"]) > self.text_len


Tokenize = OwnTokens | PublishedTokens


class Reranker(nn.Module):
    """A CLIP with its own tokenizer and its own preprocessing of pictures."""

    mean: Tensor
    std: Tensor

    def __init__(self, clip: "CLIPModel", tokenize: Tokenize, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.clip = clip
        self.tokenize = tokenize
        self.preprocessing = preprocessing
        for name, colour in (("mean", preprocessing.mean), ("std", preprocessing.std)):
            self.register_buffer(name, rearrange(torch.tensor(colour), "c -> c 1 1"), False)

    def forward(
        self, pixels: Float[Tensor, "b 3 H W"], ids: Int[Tensor, "b t"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"], Float[Tensor, ""]]:
        """Return image features, text features and their scale, for `contrastive_nats`."""
        scale = self.clip.logit_scale.exp().reshape(())  # sharded, it is [1]
        return self.image_features(pixels), self.features_of_ids(ids), scale

    def image_features(self, pixels: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b d"]:
        """Return unit vectors of square pictures in [0, 1] of any size."""
        return self.features_of_inputs(self.preprocessing.resize(pixels))

    def features_of_inputs(self, resized: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        """Return unit vectors of pictures in [0, 1] that have the tower's size."""
        tower = self.clip.vision_model(pixel_values=(resized - self.mean) / self.std)
        return F.normalize(self.clip.visual_projection(tower.pooler_output).float(), dim=-1)

    def text_features(self, captions: Sequence[str]) -> Float[Tensor, "b d"]:
        """Return unit vectors of captions; the dot product with a picture's is the score."""
        return self.features_of_ids(self.tokenize(captions).to(self.mean.device))

    def truncates(self, caption: str) -> bool:
        """Say whether a caption is longer than the text tower, so that its end is not read."""
        return self.tokenize.truncates(caption)

    def features_of_ids(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        """Return unit vectors of tokenized captions.

        The tower is causal and read at the first end token: what follows it cannot matter.
        """
        tower = self.clip.text_model(input_ids=ids)
        return F.normalize(self.clip.text_projection(tower.pooler_output).float(), dim=-1)

    def scores(
        self, batches: Iterable[tuple[Float[Tensor, "b 3 H W"], Sequence[str]]]
    ) -> Float[Tensor, "p p"]:
        """Score all pictures with all captions of the batches: `[i, j]` is picture i, caption j."""
        found = [(self.image_features(pixels), self.text_features(of)) for pixels, of in batches]
        image, text = (torch.cat(features) for features in zip(*found, strict=True))
        return image @ text.T

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Clamp the scale to MAX_SCALE after an update.

        The weight itself, for a scale clamped in the forward pass gets no gradient and stays there.
        """
        self.clip.logit_scale.clamp_(max=math.log(MAX_SCALE))


def contrastive_nats(
    image: Float[Tensor, "b d"], text: Float[Tensor, "b d"], scale: Float[Tensor, ""]
) -> Float[Tensor, " b"]:
    """Return each pair's loss: the mean of both directions' cross entropy over the batch."""
    logits = scale * image @ text.T
    own = torch.arange(len(logits), device=logits.device)
    to_text = F.cross_entropy(logits, own, reduction="none")
    to_image = F.cross_entropy(logits.T, own, reduction="none")
    return (to_text + to_image) / 2


def fresh_reranker(shape: ClipShape, *, side: int, bpe: Bpe) -> Reranker:
    """Build a CLIP with fresh weights for pictures of `side` pixels and captions of our own BPE."""
    from transformers import CLIPConfig, CLIPModel

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

    return Reranker(CLIPModel(config), tokenize, Preprocessing.plain(side))
