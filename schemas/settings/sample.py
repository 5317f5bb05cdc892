"""Which prompts are drawn, and how."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.settings.base import (
    ComputeRun,
    Config,
    Count,
    CountFrom0,
    InputPath,
    NonNegative,
    Positive,
    Seed,
)

RankBy = Literal["clip", "likelihood", "both"]  # what decides which candidate is best

LANE = 16  # rows at least; wide enough for a good matrix product, narrow enough for few candidates
LANES = 4  # of a larger tile: each reads its prompt anew


def rows_of_lane(tile: int) -> int:
    """Return how many candidates of one prompt are computed together."""
    return min(tile, max(LANE, tile // LANES))


class PromptSettings(Config):
    """Which prompts are drawn."""

    kind: Literal["validation", "file", "world"] = Field(
        "validation", description="held-out captions, a file of yours, or the demo's"
    )
    path: InputPath = Field("", description="file of prompts, one a line")
    count: Count = Field(64, description="validation captions; of the world's, in each set")

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
    candidates: Count = Field(512, description="pictures drawn for each prompt")
    keep: Count | None = Field(
        8, description="best pictures of a prompt written as PNG files; null: all"
    )
    rank_by: RankBy = Field(
        "clip", description="what ranks a prompt's pictures; likelihood: the prior's"
    )
    forget: bool = Field(
        False, description="drop the pixels of the others from the table; their rows stay"
    )
    temperature: Positive = Field(1.0, ge=1e-6, le=1e6, description="of the codes' distribution")
    top_k: CountFrom0 = Field(
        0, description="draw from the most probable codes; 0: all, as in the paper"
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="draw from the codes of this probability; 1: all"
    )
    guidance: NonNegative = Field(
        1.0, le=1_000, description="classifier-free guidance; 1: none, as in the paper"
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the prior")
    given_rows: CountFrom0 = Field(
        0, description="rows of codes given from a picture, which is completed; 0: none"
    )
    seed: Seed = Field(0, description="random seed")
    tile: Count | None = Field(
        None, description="candidates computed together; null: as many as memory holds"
    )
    prompts_per_shard: Count = Field(1, description="prompts that one worker takes at a time")
    run: ComputeRun = ComputeRun()

    @model_validator(mode="after")
    def _tile_is_whole_lanes(self) -> Self:
        if self.tile is not None and self.tile % rows_of_lane(self.tile):
            raise ValueError(
                f"tile must be a multiple of {LANE}, or less than that, found {self.tile}; try "
                f"{self.tile - self.tile % LANE}"
            )
        return self
