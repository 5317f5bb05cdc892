"""Draw pictures with the models of a finished run: a command, a web page, and in Python."""

from pipelines.draw.text_to_image import TextToImage

__all__ = ["TextToImage"]
