"""The discrete VAE."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.settings.base import (
    Config,
    Count,
    InputPath,
    NonNegative,
    Positive,
    Share,
    Shared,
    SharedSize,
)
from schemas.settings.tokens import Patch
from schemas.settings.training import FitSettings, TrainingRun, TrainingSettings, for_any_model


def _without_matrices(fit: FitSettings) -> FitSettings:
    if fit.powersgd_rank is not None:
        raise ValueError(
            "powersgd_rank is for matrices, and the dVAE's weights are convolutions; leave it null"
        )
    if fit.optimizer == "muon":
        raise ValueError(
            "optimizer=muon is for matrices, and the dVAE's weights are convolutions; set it to "
            "adamw"
        )
    return fit


DvaeFit = Annotated[FitSettings, AfterValidator(for_any_model), AfterValidator(_without_matrices)]


class DvaeShape(Config):
    """Size of the encoder and decoder (appendix A.1; the released code's names in brackets)."""

    width: Count = Field(256, ge=4, le=16_384, description="channels at full resolution (n_hid)")
    blocks: Count = Field(2, le=1_000, description="residual blocks per group (n_blk_per_group)")
    codebook_width: Count = Field(128, le=16_384, description="decoder's first channels (n_init)")
    init: Literal["random", "patches"] = Field(
        "random",
        description="patches: codes are k-means of patches, and the decoder learns what to add",
    )
    patch: Annotated[Patch, Shared()] = 8


class DvaeSettings(TrainingSettings, DvaeShape):
    """Appendix A.2."""

    pretrained: InputPath = Field(
        "", description="weights to take instead of training, such as the released ones"
    )
    beta: NonNegative = Field(6.6, le=1e6, description="weight of the KL at the end of its ramp")
    beta_ramp_share: Share = Field(5_000 / 3_000_000, description="share of steps of that ramp")
    temperature_start: Positive = Field(
        1.0, ge=1e-6, le=1e6, description="of the relaxation, at first"
    )
    temperature_end: Positive = Field(
        1 / 16, ge=1e-6, le=1e6, description="of the relaxation, in the end"
    )
    temperature_share: Share = Field(
        150_000 / 3_000_000, description="share of steps in which the temperature falls"
    )
    fit: DvaeFit = FitSettings(
        steps=3_000_000,
        batch_size=512,
        learning_rate=1e-4,
        learning_rate_end=1.25e-6,
        decay_share=0.4,
        weight_decay=1e-4,
        ema_share=1_000 / 3_000_000,
        precision="bfloat16",
    )
    run: TrainingRun = TrainingRun(save_every=5_000, validate_every=5_000)
    image_vocab: SharedSize = 8_192
    side: SharedSize = 256
