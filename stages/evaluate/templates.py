"""Pages from templates: one file with all pictures inside, and how numbers are written on it."""

import base64
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from schemas.run_report.baselines_part import ComparedPart
from schemas.run_report.report_part import Change, ReportPart
from stages.evaluate.checks import amount
from stages.pictures import Pixels, encode_png

NBSP = "\N{NO-BREAK SPACE}"
PIXEL_ART_SIDE = 96  # pictures up to here are enlarged as crisp squares, and kept lossless
VALUE_LENGTH = 200  # characters of one setting or measurement
SHOWN_SIDE = 256  # larger pictures are shrunk to this on the page


def template(package: str, name: str, **filters: Callable[..., Any]) -> jinja2.Template:
    """Read a page that lies beside the code of a package, with our filters and those given."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ours = (percent, interval, points, change, uri, flat, amount, difference)
    environment.filters |= {function.__name__: function for function in ours} | filters
    return environment.get_template(name)


def percent(share: float) -> str:
    return f"{100 * share:.1f}{NBSP}%"


def interval(bounds: Sequence[float]) -> str:
    return f"{100 * bounds[0]:.0f}\N{EN DASH}{100 * bounds[1]:.0f}{NBSP}%"


def points(gain: Change) -> str:
    """Format the size of a change in points, with its standard error if known."""
    error = gain.standard_error
    share = f"{100 * abs(gain.share):.1f}"
    return share if error is None else f"{share} ± {100 * error:.1f}"


def change(gain: Change) -> str:
    """Format a change in points with its sign."""
    sign = "-" if gain.share < 0 else "+"
    return sign + points(gain)


def difference(row: ComparedPart) -> str:
    """Format the difference of a comparison with its sign, and its standard error if known."""
    scale, unit = (100, "points") if row.unit == "%" else (1, row.unit)
    digits, error = {"points": 1, "dB": 1}.get(unit, 3), row.standard_error
    spread = "" if error is None else f" ± {scale * error:.{digits}f}"
    return f"{scale * row.difference:+.{digits}f}{spread} {unit}".rstrip()


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


def flat(tree: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return the leaves of a tree of dicts and report's parts as dotted names and short texts."""
    found = []
    for name, value in tree.items():
        if isinstance(value, ReportPart):
            value = value.model_dump(mode="json")
        if isinstance(value, Mapping):
            found += flat(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", textwrap.shorten(str(value), VALUE_LENGTH)))
    return found
