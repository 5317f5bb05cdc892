"""PictureError, and the exceptions that decoders raise on broken bytes."""

import struct

from PIL import Image, ImageCms

# What Pillow's decoders raise on hostile or broken bytes.
BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    AttributeError,
    MemoryError,
    EOFError,
    struct.error,
    ImageCms.PyCMSError,
    Image.DecompressionBombError,
)


class PictureError(ValueError):
    """A picture cannot be used; `reason` is one of a few words that can be counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
