"""One picture in every form that the web has it: four corners of known colours, upright."""

import io

import numpy as np
from PIL import Image

from schemas.settings import CrawlSettings
from stages.crawl.shrink import Shrink, Shrunk

WIDTH, HEIGHT = 120, 80
CORNERS = {"left top": (220, 30, 40), "right top": (30, 180, 60), "left bottom": (40, 60, 210)}
WHITE, GREYS = (255, 255, 255), (20, 90, 160, 235)
EXIF_ORIENTATION = 0x0112
# How a camera that was held otherwise stores the picture that is upright at orientation n.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def upright() -> Image.Image:
    """The picture itself: red and green above, blue and white below."""
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    pixels[: HEIGHT // 2, : WIDTH // 2] = CORNERS["left top"]
    pixels[: HEIGHT // 2, WIDTH // 2 :] = CORNERS["right top"]
    pixels[HEIGHT // 2 :, : WIDTH // 2] = CORNERS["left bottom"]
    return Image.fromarray(pixels)


def greys() -> np.ndarray:
    """The picture in four greys."""
    pixels = np.empty((HEIGHT, WIDTH), np.uint8)
    pixels[: HEIGHT // 2, : WIDTH // 2], pixels[: HEIGHT // 2, WIDTH // 2 :] = GREYS[:2]
    pixels[HEIGHT // 2 :, : WIDTH // 2], pixels[HEIGHT // 2 :, WIDTH // 2 :] = GREYS[2:]
    return pixels


def corners(pixels: np.ndarray) -> np.ndarray:
    """The mean colour of each corner, well away from its edges."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    parts = [pixels[top : top + height, left : left + width] for top in (0, height)
             for left in (0, width)]  # fmt: skip
    return np.stack([p[height // 4 : -height // 4, width // 4 : -width // 4].reshape(-1, 3).mean(0)
                     for p in parts])  # fmt: skip


COLOURS = np.array([*CORNERS.values(), WHITE], float)
GREY_COLOURS = np.array([[g, g, g] for g in GREYS], float)


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def shrunk(data: bytes, **settings) -> Shrunk:
    """What the crawl keeps of a file: its JPEG, the sizes of both, and why there is none."""
    return Shrink(CrawlSettings(**{"side": 64} | settings))(io.BytesIO(data))


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    """The picture as a camera stores it, with a note of how to turn it."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    how = STORED[orientation]
    stored = upright() if how is None else upright().transpose(how)
    return saved(stored, kind, exif=exif, quality=95)


def with_alpha() -> Image.Image:
    """The picture with nothing but transparent black where it is white."""
    pixels = np.dstack([np.asarray(upright()), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    pixels[HEIGHT // 2 :, WIDTH // 2 :] = 0
    return Image.fromarray(pixels)


def palette(*, transparent: bool) -> bytes:
    indices = np.zeros((HEIGHT, WIDTH), np.uint8)
    indices[: HEIGHT // 2, WIDTH // 2 :], indices[HEIGHT // 2 :, : WIDTH // 2] = 1, 2
    indices[HEIGHT // 2 :, WIDTH // 2 :] = 3
    image = Image.fromarray(indices, "P")
    colours = [*CORNERS.values(), (0, 0, 0) if transparent else WHITE]
    image.putpalette([level for colour in colours for level in colour])
    return saved(image, "PNG", transparency=3) if transparent else saved(image, "PNG")


def animated(kind: str, **options) -> bytes:
    """The picture, then two frames of something else."""
    others = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("black", "yellow")]
    return saved(upright(), kind, save_all=True, append_images=others, duration=100, **options)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(greys().astype(np.uint16) * 257)


def grey_alpha() -> Image.Image:
    """White where it is the lightest grey because nothing is there."""
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[HEIGHT // 2 :, WIDTH // 2 :] = 0
    return Image.merge("LA", [Image.fromarray(greys()), Image.fromarray(alpha)])


def in_colour() -> dict[str, bytes]:
    """Files whose corners are red, green, blue and white."""
    forms = {
        "jpeg": saved(upright(), "JPEG", quality=95),
        "jpeg progressive": saved(upright(), "JPEG", quality=95, progressive=True),
        "jpeg cmyk": saved(upright().convert("CMYK"), "JPEG", quality=95),
        "png": saved(upright(), "PNG"),
        "png palette": palette(transparent=False),
        "png palette transparent": palette(transparent=True),
        "png alpha": saved(with_alpha(), "PNG"),
        "webp": saved(upright(), "WEBP", quality=95),
        "webp lossless": saved(upright(), "WEBP", lossless=True),
        "webp alpha": saved(with_alpha(), "WEBP", lossless=True),
        "webp animated": animated("WEBP", lossless=True),
        "gif": saved(upright(), "GIF"),
        "gif animated": animated("GIF"),
        "bmp": saved(upright(), "BMP"),
        "tiff": saved(upright(), "TIFF"),
        "tiff lzw": saved(upright(), "TIFF", compression="tiff_lzw"),
        "tiff cmyk": saved(upright().convert("CMYK"), "TIFF"),
        "avif": saved(upright(), "AVIF", quality=95),
        "avif alpha": saved(with_alpha(), "AVIF", quality=95),
    }
    for orientation in STORED:
        forms[f"jpeg turned {orientation}"] = turned(orientation)
    return forms | {"webp turned 6": turned(6, "WEBP"), "png turned 8": turned(8, "PNG")}


def in_grey() -> dict[str, bytes]:
    """Files whose corners are the four greys; with alpha, the last is white."""
    return {
        "jpeg grey": saved(Image.fromarray(greys()), "JPEG", quality=95),
        "png grey": saved(Image.fromarray(greys()), "PNG"),
        "png 16 bits": saved(sixteen_bits(), "PNG"),
        "tiff 16 bits": saved(sixteen_bits(), "TIFF"),
        "png grey alpha": saved(grey_alpha(), "PNG"),
    }
