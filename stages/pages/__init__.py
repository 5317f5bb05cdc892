"""Pages for people: one HTML file each, with all pictures inside, that needs no network.

base.html   what all pages have: what they may load, colours, type, tables, charts, print

A page lies beside the code that fills it, begins with `{% extends "base.html" %}`, and fills the
blocks `title`, `style` and `body`. One with a script of its own sets `scripts` first.
"""

import base64
import io
from collections.abc import Callable
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from stages.pictures import Pixels, encode_png

PIXEL_ART_SIDE = 96  # pictures up to here are enlarged as crisp squares, and kept lossless
SHOWN_SIDE = 256  # larger pictures are shrunk to this on the page


def template(package: str, name: str, *filters: Callable[..., Any]) -> jinja2.Template:
    """Read a page that lies beside the code of a package; filters are called by their names."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, "."), jinja2.PackageLoader(__name__, ".")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in (uri, *filters)}
    return environment.get_template(name)


def uri(pixels: Pixels) -> str:
    """Put a picture into a data: address; small ones lossless, larger ones as JPEG."""
    if is_small(pixels):
        kind, data = "png", encode_png(pixels)
    else:
        file = io.BytesIO()
        image = Image.fromarray(pixels)
        image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        image.save(file, "JPEG", quality=90)
        kind, data = "jpeg", file.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def is_small(pixels: Pixels) -> bool:
    """Say whether a picture is enlarged as crisp squares rather than smoothly."""
    return max(np.shape(pixels)[:2]) <= PIXEL_ART_SIDE
