"""The transformer that learns captions and codes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.settings.base import Config, Count, Share
from schemas.settings.tokens import SharedTokens, TokenSpec
from schemas.settings.training import FitSettings, TrainingRun, TrainingSettings


class PriorShape(Config):
    """Size of the transformer (appendix B.1)."""

    layers: Count = Field(64, le=1_000, description="transformer blocks")
    heads: Count = Field(62, le=1_024, description="attention heads")
    head_dim: Count = Field(
        64, le=1_024, description="width of a head; heads x head_dim is the width"
    )
    conv_kernel: Count = Field(11, description="side of the last layer's attention window, odd")
    # Beyond the paper, each independent of the others.
    attention: Literal["sparse", "dense"] = Field(
        "sparse", description="dense: every layer sees all that came before"
    )
    positions: Literal["learned", "rotary"] = Field(
        "learned", description="rotary: rotary embeddings of row and column"
    )
    qk_norm: bool = Field(False, description="normalise queries and keys, with learned gains")
    block: Literal["gpt", "llama"] = Field(
        "gpt", description="llama: RMSNorm and SwiGLU without biases, same size"
    )

    @property
    def width(self) -> int:
        """Size of the residual stream."""
        return self.heads * self.head_dim

    @model_validator(mode="after")
    def _kernel_has_a_centre_and_rotary_pairs_come_out_even(self) -> Self:
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel must be odd to have a centre, found {self.conv_kernel}")
        if self.positions == "rotary" and self.head_dim % 4:
            raise ValueError(
                "positions=rotary turns pairs of numbers by row and by column: wanted a head_dim "
                f"that is a multiple of 4, found {self.head_dim}"
            )
        return self


class PriorSettings(TrainingSettings, PriorShape):
    """Section 2.2 and appendix B.2."""

    dropout: Share = Field(
        0.0, lt=1, description="of what each block adds to the residual stream, while it learns"
    )
    bpe_dropout: Share = Field(0.1, description="of BPE merges (section 2.2)")
    caption_dropout: Share = Field(
        0.0, description="share of captions left out, needed for sample.guidance"
    )
    text_weight: Share = Field(1 / 8, description="of text in the loss; the rest is the image's")
    fit: FitSettings = FitSettings(
        steps=430_000,
        batch_size=1_024,
        learning_rate=4.5e-4,
        learning_rate_end=4.5e-4 / 2**5,  # five halvings
        decay="plateau",
        warmup_share=5_000 / 430_000,
        beta2=0.96,
        weight_decay=4.5e-2,
        variance_clip=5.0,
        clip_norm=4.0,
        ema_share=2_500 / 430_000,
        ema_every=25,
        precision="bfloat16",
    )
    run: TrainingRun = TrainingRun(validate_every=2_000)
    tokens: SharedTokens = TokenSpec()
