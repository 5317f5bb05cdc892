"""What is kept of a picture is what img2dataset's resizer would keep, byte for byte."""

import io
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from schemas.settings import CrawlSettings
from stages import pictures
from stages.crawl.shrink import Shrink
from tests.stages.hostile import bomb
from tests.stages.photographs import jpeg, photograph

SIDE, SHORT = 64, 96


def shrink(data, **settings):
    return Shrink(CrawlSettings(**{"side": SIDE} | settings))(io.BytesIO(data))


def resized_by_img2dataset(data):
    from img2dataset.resizer import Resizer

    resizer = Resizer(
        image_size=SHORT,
        resize_mode="keep_ratio",
        resize_only_if_bigger=True,
        encode_quality=95,
        encode_format="jpg",
    )
    return resizer(io.BytesIO(data), None)


def saved(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def sides():
    rng = np.random.default_rng(3)
    fixed = [(96, 96), (97, 96), (95, 300), (96, 97), (287, 400)]
    return fixed + [tuple(map(int, rng.integers(20, 900, 2))) for _ in range(20)]


@pytest.mark.parametrize("size", sides(), ids=str)
def test_a_jpeg_becomes_the_same_bytes_as_with_img2dataset(size):
    data = jpeg(photograph(1, *size))
    assert shrink(data) == resized_by_img2dataset(data)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_other_formats_become_the_same_bytes_as_with_img2dataset(kind):
    data = saved(photograph(2, 240, 150), kind)
    assert shrink(data)[5] is None
    assert shrink(data) == resized_by_img2dataset(data)


def test_grey_and_cmyk_jpegs_become_the_same_bytes_as_with_img2dataset():
    pixels = photograph(3, 400, 300)
    for image in (Image.fromarray(pixels[..., 0]), Image.fromarray(pixels).convert("CMYK")):
        file = io.BytesIO()
        image.save(file, "JPEG")
        assert shrink(file.getvalue()) == resized_by_img2dataset(file.getvalue())


def test_a_turned_picture_is_put_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert shrink(saved(photograph(5, 500, 400), "JPEG", exif=exif))[1:] == (
        96,
        120,
        400,
        500,
        None,
    )


def test_sixteen_bits_and_alpha_look_as_they_should():
    ramp = np.tile(np.linspace(0, 65_535, 200).astype(np.uint16), (100, 1))
    data = cv2.imencode(".png", np.stack([ramp] * 3, axis=-1))[1].tobytes()
    grey = pictures.decode(shrink(data)[0])
    assert abs(int(grey[48, 96, 0]) - 128) < 4
    clear = np.zeros((90, 90, 4), np.uint8)
    assert pictures.decode(shrink(saved(clear, "PNG"))[0]).min() > 250


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_an_image: "),
        (b"<html>", "not_an_image: "),
        (jpeg(photograph(6, 200, 200))[:3_000], "truncated: "),
        (saved(photograph(6, 200, 200), "PNG")[:3_000], "truncated: "),
        (saved(photograph(6, 300, 300), "PNG"), "too_large: 300 x 300 pixels"),
        (jpeg(photograph(6, 300, 300)), "too_large: 300 x 300 pixels"),
        (bomb(20_000), "too_large: 400000000 pixels"),  # where Pillow itself looks no further
        (saved(np.zeros((1, 66_000, 3), np.uint8), "PNG"), "not_an_image: "),  # no JPEG is so wide
    ],
)
def test_what_cannot_be_kept_has_a_reason(data, reason):
    *nothing, error = shrink(data, max_pixels=80_000)
    assert error.startswith(reason)
    assert nothing == [None] * 5


def test_threads_do_not_disturb_each_other(capfd):
    files = [jpeg(photograph(seed, 200, 150)) for seed in range(4)]
    work = Shrink(CrawlSettings(side=SIDE))
    alone = [work(io.BytesIO(data)) for data in files]
    with ThreadPoolExecutor(8) as threads:
        assert (
            list(threads.map(lambda n: work(io.BytesIO(files[n % 4])), range(400))) == alone * 100
        )
    print("still heard", flush=True)
    assert "still heard" in capfd.readouterr().out
