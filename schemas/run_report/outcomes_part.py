"""What each held-out picture and prompt came to, so that two runs can be compared one by one."""

from pydantic import Field

from schemas.run_report.report_part import ReportPart


class PictureOutcomes(ReportPart):
    """The held-out pictures that the figures of the dVAE and of CLIP are about, in their order."""

    sha256: str = Field(description="of their pixels, as they were measured")
    captions: tuple[int, ...] = Field(
        description="a number for each: equal captions, equal numbers"
    )
    squared_errors: tuple[float, ...] = Field(description="means over the values of each picture")
    found: tuple[bool, ...] = Field(description="whether CLIP finds its caption")


class CodeOutcomes(ReportPart):
    """The held-out rows of codes that the figures of the prior are about, in their order."""

    sha256: str = Field(
        description="of the codes: another dVAE writes others for the same pictures"
    )
    nats: tuple[float, ...] | None = Field(
        description="per code of each row; null where the prior is too large to ask here"
    )


class PromptOutcomes(ReportPart):
    """The prompts of a set that the judge can tell about, in their order."""

    prompts: tuple[str, ...]
    single: tuple[bool, ...] = Field(description="whether the first picture is right")
    reranked: tuple[bool, ...] = Field(description="whether the favourite of all is right")
    whole: tuple[bool, ...] = Field(description="whether all that the prompt says is so in it")


class Outcomes(ReportPart):
    """Everything that was measured, item by item."""

    revision: int = Field(description="of evaluate: another one may measure otherwise")
    pictures: PictureOutcomes
    codes: CodeOutcomes
    prompts: dict[str, PromptOutcomes] = Field(description="by their set; empty without a judge")
