"""The contact sheet of one prompt: its best pictures with their scores, and the prompt below."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipelines.draw.draw_request import DrawRequest
from pipelines.draw.image_prompt import ImagePrompt
from stages.pictures import encode_png
from stages.sample.generator import Picture

SHOWN_SIDE = 256  # pixels of a picture on the sheet, unless it is larger
CRISP_SIDE = 96  # pictures up to this side are enlarged as squares, larger ones smoothly
GAP, CAPTION_SIZE, SCORE_SIZE = 16, 22, 15
PAPER, INK, SOFT = "#ffffff", "#22211e", "#6b6860"


def sheet_png(
    ranked: Sequence[Picture], request: DrawRequest, image_prompt: ImagePrompt | None = None
) -> bytes:
    """Encode the sheet of a resolved request; the PNG's text says how to draw it again."""
    sampling = {name: str(value) for name, value in request.sampling._asdict().items()}
    text = {"prompt": request.prompt, "seed": str(request.seed), **sampling}
    if image_prompt is not None:
        text |= image_prompt.metadata
    return encode_png(np.asarray(sheet(ranked[: request.top], image_prompt=image_prompt)), text)


def sheet(
    pictures: Sequence[Picture], columns: int = 4, image_prompt: ImagePrompt | None = None
) -> Image.Image:
    """Lay out the ranked pictures of one prompt in rows, each above its score, the prompt below.

    An image prompt comes first, in a column more. The number of candidates is not shown, so equal
    choices give equal sheets.
    """
    cells = [
        (picture.image, f"{picture.clip_score:.3f}  ·  no. {picture.candidate}")
        for picture in pictures
    ]
    if image_prompt is not None:
        cells, columns = [(image_prompt.image, image_prompt.label), *cells], columns + 1
    shown = [(_enlarged(image), label) for image, label in cells]
    side, columns = shown[0][0].width, min(columns, len(shown))
    rows = -(-len(shown) // columns)
    width, below = columns * (side + GAP) + GAP, SCORE_SIZE + 14
    caption, score = ImageFont.load_default(CAPTION_SIZE), ImageFont.load_default(SCORE_SIZE)
    lines = _wrapped(pictures[0].prompt, caption, width - 2 * GAP)
    line_height = round(1.4 * CAPTION_SIZE)
    height = GAP + rows * (side + below + GAP) + line_height * len(lines) + GAP
    paper = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(paper)
    for index, (image, label) in enumerate(shown):
        left = GAP + index % columns * (side + GAP)
        top = GAP + index // columns * (side + below + GAP)
        paper.paste(image, (left, top))
        pen.text((left + side / 2, top + side + 8), label, SOFT, score, anchor="ma")
    for number, line in enumerate(lines):
        top = GAP + rows * (side + below + GAP) + number * line_height
        pen.text((width / 2, top), line, INK, caption, anchor="ma")
    return paper


def _enlarged(image: Image.Image) -> Image.Image:
    """Enlarge small pictures to SHOWN_SIDE, very small ones as crisp squares of whole pixels."""
    if image.width >= SHOWN_SIDE:
        return image
    whole = SHOWN_SIDE % image.width == 0 and image.width <= CRISP_SIDE
    resampling = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return image.resize((SHOWN_SIDE, SHOWN_SIDE), resampling)


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
