"""The reranker."""

from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt

from schemas.settings.base import Config, InputPathOrName, SharedSize
from schemas.settings.training import FitSettings, TrainingSettings, not_in_float16


class ClipShape(Config):
    """Size of the two towers of a CLIP trained here."""

    width: PositiveInt = Field(512, description="width of both towers")
    layers: PositiveInt = Field(12, description="blocks of each tower")
    heads: PositiveInt = Field(8, description="attention heads")
    patch: PositiveInt = Field(16, description="pixels per side of a patch")
    projection: PositiveInt = Field(512, description="width of the features that are compared")
    text_len: PositiveInt = Field(77, description="tokens of a caption, with a start and an end")


class ClipSettings(TrainingSettings, ClipShape):
    """The reranker: trained on the clean pairs, or a pretrained one by hub name or folder."""

    pretrained: InputPathOrName = Field(
        "", description="folder or hub name of a CLIP to take instead of training one"
    )
    fit: Annotated[FitSettings, AfterValidator(not_in_float16)] = FitSettings(
        steps=30_000,
        batch_size=1_024,
        learning_rate=5e-4,
        learning_rate_end=5e-6,
        warmup_share=0.03,
        beta2=0.98,
        weight_decay=0.2,
        clip_norm=1.0,
        ema_share=0.01,
        precision="bfloat16",
    )
    text_vocab: SharedSize = 16_384
    side: SharedSize = 256
