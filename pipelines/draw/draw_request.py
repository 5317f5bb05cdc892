"""A request to draw: a prompt, how many candidates, and the sampling parameters."""

import unicodedata
from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ConfigError
from stages.models.sampling import SamplingParams

MAX_SEED = 2**53 - 1  # larger integers are not exact in JavaScript
CHARACTERS_SHOWN = 60  # of a bad value, in its error


def _visible(prompt: str) -> str:
    """Strip a prompt; refuse one without visible characters, and control characters."""
    prompt = prompt.strip()
    if all(unicodedata.category(letter)[0] in "CZ" for letter in prompt):
        raise ValueError("wanted at least one visible character, found none; say what to draw")
    for place, letter in enumerate(prompt):
        if unicodedata.category(letter) in ("Cc", "Cs") and not letter.isspace():
            raise ValueError(
                f"wanted words, found the control character U+{ord(letter):04X} at place {place}; "
                "take it out"
            )
    return prompt


class DrawRequest(BaseModel):
    """One drawing; a sampling parameter that is None is the run's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: Annotated[str, AfterValidator(_visible)]
    candidates: int = Field(16, ge=1)
    top: int = Field(4, ge=1, description="best candidates on the sheet")
    seed: int = Field(0, ge=-MAX_SEED, le=MAX_SEED)
    temperature: float | None = Field(None, ge=0.01, le=100)
    top_k: int | None = Field(None, ge=0, le=2**20, description="0 allows all codes")
    top_p: float | None = Field(None, gt=0, le=1, description="1 allows all codes")
    guidance: float | None = Field(None, ge=0, le=100, description="1 is no guidance")

    @property
    def sampling(self) -> SamplingParams:
        """The sampling parameters, once none is None."""
        return SamplingParams(*(getattr(self, name) for name in SamplingParams._fields))

    @classmethod
    def of(cls, **values: object) -> Self:
        """Check the values; raise ConfigError, one sentence, for the first that is not allowed."""
        return cls._checked(cls.model_validate, values)

    @classmethod
    def of_json(cls, text: bytes) -> Self:
        """Read and check a JSON object; raise ConfigError as `of` does."""
        return cls._checked(cls.model_validate_json, text)

    @classmethod
    def _checked(cls, validate: Callable[[Any], Self], values: object) -> Self:
        try:
            return validate(values)
        except ValidationError as error:
            raise ConfigError(cls._sentence(error)) from None

    @classmethod
    def _sentence(cls, error: ValidationError) -> str:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        found = repr(first["input"])
        if len(found) > CHARACTERS_SHOWN:
            found = f"{found[:CHARACTERS_SHOWN]}..."
        match first["type"]:
            case "value_error":
                return f"{name}: {first['ctx']['error']}" if name else str(first["ctx"]["error"])
            case "missing":
                return f"wanted a {name}, found none; give one"
            case "extra_forbidden":
                known = ", ".join(cls.model_fields)
                return f"there is no setting '{name[:CHARACTERS_SHOWN]}'; there are {known}"
            case "json_invalid" | "model_type":
                return f'wanted a JSON object such as {{"prompt": "a star"}}, found {found}'
            case "greater_than_equal" | "greater_than" | "less_than_equal":
                ((kind, bound),) = first["ctx"].items()
                words = {"ge": "at least", "gt": "more than", "le": "at most"}[kind]
                return f"{name}: wanted {words} {bound}, found {found}"
        rule = first["msg"].removeprefix("Input should be ").partition(",")[0]
        return f"{name}: wanted {rule}, found {found}; choose another"
