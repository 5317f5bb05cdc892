"""What the report measures."""

from typing import Literal

from pydantic import Field, PositiveInt

from schemas.settings.base import Config, How


class EvaluateRun(How):
    """How evaluate runs."""

    threads: PositiveInt = Field(2, description="CPU threads")


class EvaluateSettings(Config):
    """What the report measures."""

    judge: Literal["none", "shapes"] = Field(
        "none", description="shapes: check the demo's pictures against their prompts"
    )
    pictures: PositiveInt = Field(
        1_000, description="validation pictures behind the dVAE's figures"
    )
    run: EvaluateRun = EvaluateRun()
