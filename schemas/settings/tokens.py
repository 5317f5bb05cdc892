"""The two alphabets, of text and of pictures, and how that of text is learned."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.settings.base import Config, Count, Shared, SharedSize

BYTES = 256  # a text alphabet begins with one id for each byte, so that it can write any caption


MOST_SLOTS = 16_384  # the paper has 1,280

PATCHES = (4, 8, 16)  # pixels along the side of a code's square: the dVAE halves 2, 3 or 4 times


def _is_halved(patch: int) -> int:
    if patch not in PATCHES:
        raise ValueError(f"patch must be 4, 8 (the paper's) or 16, found {patch}")
    return patch


Patch = Annotated[Count, AfterValidator(_is_halved)]


class TokenSpec(Config):
    """The alphabets and lengths that the dVAE, the encoder, the prior and sampling share."""

    text_vocab: Count = Field(16_384, description="size of the BPE alphabet (section 2.2)")
    text_len: Count = Field(256, description="tokens of a caption; longer ones are cut")
    image_vocab: Count = Field(8_192, description="codes of the dVAE's codebook")
    grid: Count = Field(32, description="codes per side of a picture")
    patch: Patch = Field(8, description="pixels per side of a code: 4, 8 (the paper's) or 16")

    @property
    def side(self) -> int:
        """Pixels per side of a training picture."""
        return self.patch * self.grid

    @property
    def image_len(self) -> int:
        """Codes of one picture."""
        return self.grid**2

    @model_validator(mode="after")
    def _can_be_stored_and_attended_to(self) -> Self:
        for name, size in (("text_vocab", self.text_vocab), ("image_vocab", self.image_vocab)):
            if size > 65_535:  # the pad id, text_vocab itself, must fit too
                raise ValueError(
                    f"{name} must be at most 65535, because tokens are stored in 16 bits"
                )
        if (slots := self.text_len + self.image_len) > MOST_SLOTS:
            raise ValueError(
                f"text_len + grid x grid must be at most {MOST_SLOTS}, because an attention mask "
                f"has as many rows and columns, found {slots}"
            )
        return self


SharedTokens = Annotated[TokenSpec, Shared()]


class BpeSettings(Config):
    """How the text alphabet is learned."""

    captions: Count = Field(10_000_000, description="at most this many are read")
    text_vocab: SharedSize = 16_384
