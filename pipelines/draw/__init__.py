"""Draw pictures with the models of a finished run: a command, a web page, and in Python."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.draw.text_to_image import TextToImage

__all__ = ["TextToImage"]


def __getattr__(name: str) -> Any:
    """Import TextToImage when it is used: the command handles Ctrl-C before it imports torch."""
    if name == "TextToImage":
        from pipelines.draw.text_to_image import TextToImage

        return TextToImage
    raise AttributeError(name)
