"""The reranker."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.settings.base import Config, Count, InputPathOrName, SharedSize
from schemas.settings.training import FitSettings, TrainingRun, TrainingSettings, for_any_model


class ClipShape(Config):
    """Size of the two towers of a CLIP trained here."""

    width: Count = Field(512, le=16_384, description="width of both towers")
    layers: Count = Field(12, le=1_000, description="blocks of each tower")
    heads: Count = Field(8, le=1_024, description="attention heads")
    patch: Count = Field(16, description="pixels per side of a patch")
    projection: Count = Field(512, le=16_384, description="width of the features that are compared")
    text_len: Count = Field(
        77, ge=3, le=16_384, description="tokens of a caption, with a start and an end"
    )

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads, found {self.width} and {self.heads}"
            )
        return self


def _all_pairs_at_once(run: TrainingRun) -> TrainingRun:
    if run.micro_batch_size is not None:
        raise ValueError(
            "micro_batch_size must be null, because every pair is compared with all of the batch, "
            f"found {run.micro_batch_size}; use more workers or a smaller batch_size"
        )
    return run


class ClipSettings(TrainingSettings, ClipShape):
    """The reranker: trained on the clean pairs, or a pretrained one by hub name or folder."""

    pretrained: InputPathOrName = Field(
        "", description="folder or hub name of a CLIP to take instead of training one"
    )
    fit: Annotated[FitSettings, AfterValidator(for_any_model)] = FitSettings(
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
    run: Annotated[TrainingRun, AfterValidator(_all_pairs_at_once)] = TrainingRun()
    text_vocab: SharedSize = 16_384
    side: SharedSize = 256
