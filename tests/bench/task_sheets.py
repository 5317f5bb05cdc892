"""Sheets to look at: pictures beside numbered captions, and pictures of one caption in a row."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stages.pictures import Pixels

PICTURE, CAPTION, GAP, HEAD = 200, 520, 16, 28  # pixels
COLUMNS, ROWS = 2, 6
SIZES = range(15, 8, -1)  # of letters, in pixels: long captions are written smaller
INK = (34, 33, 30)
PLAIN = str.maketrans("\u2013\u2014\u2018\u2019\u201c\u201d", "--''\"\"")  # dashes and quotes


class Asked(NamedTuple):
    """A picture and what is beside it."""

    picture: Pixels
    captions: Sequence[str]


def sheets(asked: Sequence[Asked], title: str) -> Iterator[Pixels]:
    """Yield sheets of COLUMNS x ROWS numbered pictures, each with its captions to the right."""
    cell = PICTURE + CAPTION + GAP, PICTURE + HEAD
    each = COLUMNS * ROWS
    for start in range(0, len(asked), each):
        some = asked[start : start + each]
        size = COLUMNS * cell[0] + GAP, -(-len(some) // COLUMNS) * cell[1] + HEAD
        sheet = Image.new("RGB", size, "white")
        pen = ImageDraw.Draw(sheet)
        pen.text((GAP, 6), title, INK, ImageFont.load_default(15))
        for place, one in enumerate(some):
            left, top = place % COLUMNS * cell[0] + GAP, place // COLUMNS * cell[1] + HEAD
            pen.text(
                (left, top + 2), f"picture {start + place + 1}", INK, ImageFont.load_default(15)
            )
            sheet.paste(enlarged(one.picture), (left, top + HEAD - 4))
            for number, caption in enumerate(one.captions, 1):
                at = left + PICTURE + 10, top + number * HEAD - HEAD // 2
                write(pen, at, f"{number}  {caption}", CAPTION - 10)
        yield np.asarray(sheet)


def beside(rows: Sequence[tuple[str, Sequence[Pixels | None]]], heads: Sequence[str]) -> Pixels:
    """Return one sheet of rows: the pictures of a caption, in columns with these heads."""
    width = len(heads) * (PICTURE // 2 + 4)
    sheet = Image.new("RGB", (width + CAPTION, len(rows) * (PICTURE // 2 + 4) + HEAD), "white")
    pen = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        pen.text((column * (PICTURE // 2 + 4), 6), head, INK, ImageFont.load_default(15))
    for row, (caption, pictures) in enumerate(rows):
        top = row * (PICTURE // 2 + 4) + HEAD
        for column, picture in enumerate(pictures):
            if picture is not None:
                half = enlarged(picture).resize((PICTURE // 2,) * 2)
                sheet.paste(half, (column * (PICTURE // 2 + 4), top))
        write(pen, (width + 8, top + PICTURE // 4), caption, CAPTION - 10)
    return np.asarray(sheet)


def enlarged(picture: Pixels) -> Image.Image:
    return Image.fromarray(picture).resize((PICTURE, PICTURE), Image.Resampling.BICUBIC)


def write(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, width: int) -> None:
    """Write a line so small that it fits, or cut off where the smallest letters are too large.

    The font has no other letters than those of English.
    """
    text = unicodedata.normalize("NFKD", text.translate(PLAIN)).encode("ascii", "ignore").decode()
    font = ImageFont.load_default(SIZES[0])
    for size in SIZES:
        font = ImageFont.load_default(size)
        if pen.textlength(text, font) <= width:
            break
    while pen.textlength(text, font) > width:
        text = text.removesuffix("...")[:-1] + "..."
    pen.text(at, text, INK, font)
