"""What is measured in each pair beyond what costs little."""

from pydantic import Field

from schemas.settings.base import Config, InputPathOrName, Workers


class MeasureSettings(Config):
    """Scores that cost more than the others, or need another package."""

    nsfw: bool = Field(False, description="score unsafe pictures (extra `nsfw`)")
    writing: bool = Field(False, description="find letters and watermarks (extra `ocr`)")
    clip: InputPathOrName = Field(
        "", description="folder or hub name of a CLIP that scores pairs; empty: none"
    )
    run: Workers = Workers()
