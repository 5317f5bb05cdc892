"""What somebody wants drawn: a prompt, how many candidates, and how they are drawn."""

import unicodedata
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ConfigError

SEEDS = 2**53 - 1  # as far as a page's numbers are exact
SAMPLING = ("temperature", "top_k", "top_p", "guidance")
LETTERS_SHOWN = 60  # of what was found, in an error


def _said(prompt: str) -> str:
    """Return the prompt without blanks around it; refuse one that says nothing, or not in words."""
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
    """One drawing. What is None is as in the run's own samples."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: Annotated[str, AfterValidator(_said)]
    candidates: int = Field(16, ge=1)
    top: int = Field(4, ge=1, description="best ones on the sheet")
    seed: int = Field(0, ge=-SEEDS, le=SEEDS)
    temperature: float | None = Field(None, ge=0.01, le=100)
    top_k: int | None = Field(None, ge=0, le=2**20, description="0 keeps all codes")
    top_p: float | None = Field(None, gt=0, le=1, description="1 keeps all codes")
    guidance: float | None = Field(None, ge=0, le=100, description="1 is the model's own")

    def how(self) -> dict[str, Any]:
        """Return what says how codes are drawn."""
        return {name: getattr(self, name) for name in SAMPLING}

    @classmethod
    def of(cls, **values: object) -> Self:
        """Check the values; raise ConfigError, one sentence, for the first that cannot be."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(cls._sentence(error)) from None

    @classmethod
    def of_json(cls, text: bytes) -> Self:
        """Read and check a JSON object; raise ConfigError as `of` does."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ConfigError(cls._sentence(error)) from None

    @classmethod
    def _sentence(cls, error: ValidationError) -> str:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        found = repr(first["input"])
        if len(found) > LETTERS_SHOWN:
            found = f"{found[:LETTERS_SHOWN]}..."
        match first["type"]:
            case "value_error":
                return f"{name}: {first['ctx']['error']}" if name else str(first["ctx"]["error"])
            case "missing":
                return f"wanted a {name}, found none; give one"
            case "extra_forbidden":
                known = ", ".join(cls.model_fields)
                return f"there is no setting '{name[:LETTERS_SHOWN]}'; there are {known}"
            case "json_invalid" | "model_type":
                return f'wanted a JSON object such as {{"prompt": "a star"}}, found {found}'
            case "greater_than_equal":
                return f"{name}: wanted at least {first['ctx']['ge']}, found {found}"
            case "greater_than":
                return f"{name}: wanted more than {first['ctx']['gt']}, found {found}"
            case "less_than_equal":
                return f"{name}: wanted at most {first['ctx']['le']}, found {found}"
        rule = first["msg"].removeprefix("Input should be ").partition(",")[0]
        return f"{name}: wanted {rule}, found {found}; choose another"
