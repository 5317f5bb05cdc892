"""Which prompts are drawn, and how."""

from typing import Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from schemas.settings.base import ComputeRun, Config, InputPath


class PromptSettings(Config):
    """Which prompts are drawn."""

    kind: Literal["validation", "file", "world"] = Field(
        "validation", description="held-out captions, a file of yours, or the demo's"
    )
    path: InputPath = Field("", description="file of prompts, one a line")
    count: PositiveInt = Field(64, description="validation captions; of the world's, in each set")

    @model_validator(mode="after")
    def _a_file_is_named(self) -> Self:
        if self.kind == "file" and not self.path:
            raise ValueError(
                "prompts.kind=file wants prompts.path, found none; name a file of prompts, one a "
                "line, such as --set sample.prompts.path=my.txt"
            )
        return self


class SampleSettings(Config):
    """How pictures are drawn (section 2.6)."""

    prompts: PromptSettings = PromptSettings()
    candidates: PositiveInt = Field(512, description="pictures drawn for each prompt")
    keep: PositiveInt | None = Field(
        8, description="best pictures of a prompt written as PNG files; null: all"
    )
    forget: bool = Field(
        False, description="drop the pixels of the others from the table; their rows stay"
    )
    temperature: PositiveFloat = Field(1.0, description="of the codes' distribution")
    top_k: NonNegativeInt = Field(
        0, description="draw from the most probable codes; 0: all, as in the paper"
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="draw from the codes of this probability; 1: all"
    )
    guidance: NonNegativeFloat = Field(
        1.0, description="classifier-free guidance; 1: none, as in the paper"
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the prior")
    given_rows: NonNegativeInt = Field(
        0, description="rows of codes given from a picture, which is completed; 0: none"
    )
    seed: int = Field(0, description="random seed")
    tile: PositiveInt | None = Field(
        None, description="candidates computed together; null: as many as memory holds"
    )
    prompts_per_shard: PositiveInt = Field(1, description="prompts that one worker takes at a time")
    run: ComputeRun = ComputeRun()
