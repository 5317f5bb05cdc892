"""Which pairs are worth learning from."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.settings.base import (
    Config,
    Count,
    CountFrom0,
    Input,
    NonNegative,
    Positive,
    Seed,
    Share,
    SharedSize,
    Workers,
)


class FilterSettings(Config):
    """Appendix C of the paper, then checks that are common practice."""

    min_chars: CountFrom0 = Field(5, description="fewest characters of a caption (appendix C)")
    max_chars: Count = Field(1_000, description="most characters of a caption")
    min_words: CountFrom0 = Field(2, description="fewest words of a caption")
    min_english: Share = Field(0.2, description="least probability of English (appendix C)")
    max_boilerplate: Share = Field(
        0.5, description="largest share of a caption's letters that is boilerplate (appendix C)"
    )
    max_caption_pictures: Count | None = Field(
        100, description="drop a caption that more pictures than this have; null: keep"
    )
    max_aspect: Positive = Field(2.0, ge=1, description="longer side over shorter (appendix C)")
    min_contrast: NonNegative = Field(
        5.0, le=127, description="least standard deviation of the liveliest channel, 0 to 127"
    )
    max_nsfw: Share = Field(
        0.5, description="largest probability of an unsafe picture, if measure.nsfw is on"
    )
    max_writing: Share = Field(
        0.2, description="largest share of a picture under letters, if measure.writing is on"
    )
    watermarks: bool = Field(
        True, description="drop pictures that bear an agency's name, if measure.writing is on"
    )
    min_clip_score: float = Field(
        0.28, ge=-1, le=1, description="least cosine by measure.clip; LAION-400M took 0.3, 5B 0.28"
    )
    decontaminate: Annotated[tuple[str, ...], Input()] = Field(
        (), description="evaluation sets (folders, Parquet files) whose pictures are dropped"
    )
    near_bits: int | None = Field(
        3, ge=0, le=8, description="of 64 in which near duplicates may differ; null: keep them"
    )
    near_colour: NonNegative | None = Field(
        None, le=255, description="largest difference of near duplicates' colours; null: any"
    )
    near_same_caption: bool = Field(
        False, description="only pictures of the same caption are near duplicates"
    )
    validation_share: Share = Field(
        606_000 / 250_000_000, lt=1, description="of the pairs, held out (section 2.2)"
    )
    buckets: Count = Field(16, description="files per split, more where they grow large")
    seed: Seed = Field(0, description="random seed of the split")
    run: Workers = Workers()
    side: SharedSize = 256  # the smallest picture worth keeping (listing 1)

    @model_validator(mode="after")
    def _some_caption_is_long_enough(self) -> Self:
        if self.min_chars > self.max_chars:
            raise ValueError(
                f"min_chars ({self.min_chars}) must not exceed max_chars ({self.max_chars}): every "
                "caption would be dropped"
            )
        return self
