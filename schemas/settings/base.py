"""What all settings have in common."""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


def _held_by_32_bits(number: float) -> float:
    if number and not 1e-30 <= number <= 1e30:
        raise ValueError("must be between 1e-30 and 1e30, for some of what is computed has 32 bits")
    return number


# Numbers that files, random generators and 32-bit floats can hold, and machines can count to.
Count = Annotated[int, Field(gt=0, lt=2**31)]
CountFrom0 = Annotated[int, Field(ge=0, lt=2**31)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_held_by_32_bits)]
NonNegative = Annotated[float, Field(ge=0), AfterValidator(_held_by_32_bits)]
Share = Annotated[float, Field(ge=0, le=1)]  # of a whole: of a run's updates, of the rows
Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Input:
    """Marks the address of something that a stage reads, whose content is in its fingerprint.

    The command makes a relative path absolute, so that it means the same wherever workers run.
    """

    commas: bool = False  # several, with commas between
    or_name: bool = False  # a folder, or a name on a hub


InputPath = Annotated[str, Input()]
InputPaths = Annotated[str, Input(commas=True)]
InputPathOrName = Annotated[str, Input(or_name=True)]


class Shared:
    """Marks what a stage is given of the settings `tokens`: nobody sets it where it stands."""


SharedSize = Annotated[Count, Shared()]


class Config(BaseModel):
    """Base of all settings: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def what(self) -> dict[str, Any]:
        """Return the settings that decide what comes out, as plain JSON values."""
        values = {name: getattr(self, name) for name in self._deciding()}
        return {n: v.what() if isinstance(v, Config) else v for n, v in values.items()}

    def changed(self, usual: "Config | None" = None) -> dict[str, Any]:
        """Return those of them that differ from `usual`, or else from their defaults."""
        tree = {}
        for name, field in self._deciding().items():
            value, default = getattr(self, name), field.default
            if usual is not None:
                default = getattr(usual, name)
            if isinstance(value, Config):
                value = value.changed(default if isinstance(default, Config) else None)
                default = {}
            if value != default:
                tree[name] = value
        return tree

    @property
    def digest(self) -> str:
        """Return hex digits of the settings that decide the result and differ from their defaults.

        So a new setting whose default changes nothing makes nothing stale. Whoever changes a
        default raises the REVISION of its stage.
        """
        text = json.dumps(self.changed(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def marked(cls, kind: type[Input] | type[Shared]) -> set[str]:
        """Return the names of the fields with such a mark."""
        fields = cls.model_fields.items()
        return {n for n, field in fields if any(isinstance(m, kind) for m in field.metadata)}

    @classmethod
    def _deciding(cls) -> dict[str, FieldInfo]:
        inputs, fields = cls.marked(Input), cls.model_fields.items()
        return {n: f for n, f in fields if n not in inputs and not isinstance(f.default, How)}


class How(Config):
    """Base of the nodes `run` and `gate`: how a stage works, or whether. In no fingerprint."""


class Workers(How):
    """How many processes share a stage's work."""

    workers: Count = Field(1, le=100_000, description="processes that share the work")


class ComputeRun(Workers):
    """How a stage that computes with a model runs."""

    threads: Count = Field(2, le=1_024, description="CPU threads of each worker")
    gpu: bool = Field(False, description="give each worker a GPU")
