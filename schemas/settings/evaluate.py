"""What the report measures."""

from typing import Literal

from pydantic import Field

from schemas.settings.base import Config, Count, How, InputPathOrName


class EvaluateRun(How):
    """How evaluate runs."""

    threads: Count = Field(2, le=1_024, description="CPU threads")


class EvaluateSettings(Config):
    """What the report measures."""

    judge: Literal["none", "shapes"] = Field(
        "none", description="shapes: check the demo's pictures against their prompts"
    )
    pictures: Count = Field(1_000, description="validation pictures behind the dVAE's figures")
    features: InputPathOrName = Field(
        "", description="network beside the run's CLIP: file of Inception's weights, CLIP or DINOv2"
    )
    run: EvaluateRun = EvaluateRun()
