"""How clean pairs become tokens, and how good the dVAE must be for that."""

from typing import Literal

from pydantic import Field

from schemas.settings.base import (
    ComputeRun,
    Config,
    Count,
    CountFrom0,
    How,
    NonNegative,
    Positive,
    Seed,
)
from schemas.settings.tokens import SharedTokens, TokenSpec


class EncodeRun(ComputeRun):
    """How encode runs."""

    decoders: CountFrom0 = Field(
        0, le=1_024, description="processes that crop pictures for each worker; 0: a thread does"
    )


class EncodeGate(How):
    """How good the dVAE must be on validation pictures; below, encode refuses to start."""

    min_codes_used: CountFrom0 = Field(2_048, description="fewest different codes in use")
    min_perplexity: NonNegative = Field(512.0, description="least perplexity of the codes")
    min_psnr_db: NonNegative = Field(20.0, description="least PSNR of reconstructions, in dB")
    max_psnr_gap_db: Positive = Field(
        1.0, description="most PSNR that single codes lose against mixtures, in dB"
    )
    force: bool = Field(False, description="encode with a worse dVAE all the same")


class EncodeSettings(Config):
    """How clean pairs become tokens."""

    rows_per_shard: Count = Field(16_384, description="rows that one worker takes at a time")
    seed: Seed = Field(0, description="random seed of crops and sampled codes")
    crops: Count = Field(1, le=1_000, description="crops of each training picture, a row each")
    flips: bool = Field(
        False, description="a mirrored row of each crop too, captioned 'mirrored: ...'"
    )
    codes: Literal["argmax", "sampled"] = Field(
        "argmax", description="sampled: by probability, which acts like label smoothing"
    )
    # Not by the device, as a training's may be: codes depend on it.
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the encoder's products"
    )
    tile: Count = Field(32, le=65_536, description="pictures per forward pass, always this many")
    gate: EncodeGate = EncodeGate()
    run: EncodeRun = EncodeRun()
    tokens: SharedTokens = TokenSpec()
