"""Which pairs are worth learning from."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from schemas.settings.base import Config, Input, Share, SharedSize, Workers


class FilterSettings(Config):
    """Appendix C of the paper, then what everybody else checks."""

    min_chars: NonNegativeInt = Field(5, description="fewest characters of a caption (appendix C)")
    max_chars: PositiveInt = Field(1_000, description="most characters of a caption")
    min_words: NonNegativeInt = Field(2, description="fewest words of a caption")
    min_english: Share = Field(0.2, description="least probability of English (appendix C)")
    max_boilerplate: Share = Field(
        0.5, description="largest share of a caption's letters that is boilerplate (appendix C)"
    )
    max_caption_pictures: PositiveInt | None = Field(
        100, description="drop a caption that more pictures than this have; null: keep"
    )
    max_aspect: PositiveFloat = Field(2.0, description="longer side over shorter (appendix C)")
    min_contrast: NonNegativeFloat = Field(
        5.0, description="in grey levels; less is a flat picture"
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
    validation_share: Share = Field(
        606_000 / 250_000_000, description="of the pairs, held out (section 2.2)"
    )
    buckets: PositiveInt = Field(16, description="files per split, more where they grow large")
    seed: int = Field(0, description="random seed of the split")
    run: Workers = Workers()
    side: SharedSize = 256  # the smallest picture worth keeping (listing 1)
